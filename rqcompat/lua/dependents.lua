-- Functions for scripts that end a job: --@include dependents.lua
--
-- release_dependents(parent, status, stopped_releases, ts) moves children of a job that just ended to their queues.
--   parent            job id
--   status            the parent's new status; "finished" on success; '' when the parent does not count, as in
--                     cancel with dependents (RQ's exclude_job_id)
--   stopped_releases  true when the dialect lets a stopped parent release (<= 2.7)
--   ts                text timestamp for enqueued_at
--
-- Stands for rq/queue.py Queue.enqueue_dependents and rq/job.py Job.dependencies_are_met:
--   WATCH, SMEMBERS dependents, per child its dependencies' statuses, then
--   TX{ ZREM rq:deferred, SADD rq:queues, HSET status/enqueued_at, EXPIRE x3, R/LPUSH, DEL or SREM dependents }
-- One difference: a child moves only while its status is "deferred". RQ moves any child that isn't canceled,
-- which runs it again when a parent is requeued.
--@include push.lua

local function other_dependencies_met(child, parent, failures_allowed)
  for _, dep in ipairs(call('SMEMBERS', 'rq:job::' .. child .. ':dependencies')) do
    if dep ~= parent then
      -- No status: the hash expired or was deleted, which counts as met.
      local s = call('HGET', 'rq:job:' .. dep, 'status')
      if s and s ~= 'finished' and not (s == 'failed' and failures_allowed) then
        return false
      end
    end
  end
  return true
end

local function parent_lets_go(status, failures_allowed, stopped_releases)
  if status == 'canceled' then return false end
  if status == 'failed' then return failures_allowed end
  if status == 'stopped' then return stopped_releases end
  return true
end

local function release_dependents(parent, status, stopped_releases, ts)
  local children = 'rq:job:' .. parent .. ':dependents'
  for _, child in ipairs(call('SMEMBERS', children)) do
    local job = 'rq:job:' .. child
    local h = call('HMGET', job, 'status', 'origin', 'ttl', 'enqueue_at_front', 'allow_dependency_failures')
    local child_status, queue, ttl, front, failures_allowed = h[1], h[2], h[3], h[4] == '1', h[5] == '1'
    if child_status == 'deferred' and queue and parent_lets_go(status, failures_allowed, stopped_releases)
        and other_dependencies_met(child, parent, failures_allowed) then
      call('ZREM', 'rq:deferred:' .. queue, child)
      call('HSET', job, 'status', 'queued', 'enqueued_at', ts)
      push_job(queue, child, front and 'LPUSH' or 'RPUSH', ttl)
      call('SREM', children, child)
    end
  end
end

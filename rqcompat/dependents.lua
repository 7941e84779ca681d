-- Functions for scripts that end a job: --@include dependents.lua
--
-- release_dependents(parent, status, stopped_releases, now, ts) moves the children of a job that just ended
-- from deferred to their queues and returns how many moved.
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

-- expire_job gives a job's three keys the same ttl, as rq/job.py Job.cleanup does.
local function expire_job(id, ttl)
  redis.call('EXPIRE', 'rq:job:' .. id, ttl)
  redis.call('EXPIRE', 'rq:job:' .. id .. ':dependents', ttl)
  redis.call('EXPIRE', 'rq:job::' .. id .. ':dependencies', ttl)
end

local function other_dependencies_met(child, parent, failures_allowed)
  for _, dep in ipairs(redis.call('SMEMBERS', 'rq:job::' .. child .. ':dependencies')) do
    if dep ~= parent then
      -- No status: the hash expired or was deleted, which counts as met.
      local s = redis.call('HGET', 'rq:job:' .. dep, 'status')
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

local function release_dependents(parent, status, stopped_releases, now, ts)
  local key = 'rq:job:' .. parent .. ':dependents'
  local children = redis.call('SMEMBERS', key)
  local moved = 0
  for _, child in ipairs(children) do
    local h = redis.call('HMGET', 'rq:job:' .. child, 'status', 'origin', 'ttl', 'enqueue_at_front', 'allow_dependency_failures')
    local allowed = h[5] == '1'
    if h[1] == 'deferred' and h[2] and parent_lets_go(status, allowed, stopped_releases)
        and other_dependencies_met(child, parent, allowed) then
      redis.call('ZREM', 'rq:deferred:' .. h[2], child)
      redis.call('SADD', 'rq:queues', 'rq:queue:' .. h[2])
      redis.call('HSET', 'rq:job:' .. child, 'status', 'queued', 'enqueued_at', ts)
      local ttl = tonumber(h[3] or '')
      if ttl and ttl > 0 then expire_job(child, ttl) end
      redis.call(h[4] == '1' and 'LPUSH' or 'RPUSH', 'rq:queue:' .. h[2], child)
      redis.call('SREM', key, child)
      moved = moved + 1
    end
  end
  return moved
end

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
-- Differences: a child moves only while its status is "deferred" (RQ moves any child that isn't canceled, which runs it
-- again when a parent is requeued); and what would keep the server from others is done in steps. More children than
-- one script looks at are set aside under rq:releasing, from where release.lua takes them; a child with many parents
-- of which none that was asked is in its way is noted in rq:releasing:children for release_child.lua.
--@include push.lua

-- What one script looks at: this many children, and this many parents of each.
local most_children, most_parents = 250, 20
local children_seen = 0

local function is_met(dep, failures_allowed)
  -- No status: the hash expired or was deleted, which counts as met.
  local s = redis.pcall('HGET', 'rq:job:' .. dep, 'status')
  return not s or s == 'finished' or (s == 'failed' and failures_allowed)
end

local function other_dependencies_met(child, parent, failures_allowed, ts)
  local deps = call('SRANDMEMBER', 'rq:job::' .. child .. ':dependencies', most_parents + 1)
  for _, dep in ipairs(deps) do
    if dep ~= parent and not is_met(dep, failures_allowed) then return false end
  end
  if #deps <= most_parents then return true end
  call('HSET', 'rq:releasing:children', child, ts .. ' ' .. parent)
  return false
end

local function parent_lets_go(status, failures_allowed, stopped_releases)
  if status == 'canceled' then return false end
  if status == 'failed' then return failures_allowed end
  if status == 'stopped' then return stopped_releases end
  return true
end

-- queue_child moves a deferred child; ttl and front are the fields of its hash.
local function queue_child(child, queue, ttl, front, ts)
  call('ZREM', 'rq:deferred:' .. queue, child)
  call('HSET', 'rq:job:' .. child, 'status', 'queued', 'enqueued_at', ts)
  push_job(queue, child, front == '1' and 'LPUSH' or 'RPUSH', ttl)
end

-- release_child moves one child if nothing is in its way, and says whether it did.
local function release_child(child, parent, status, stopped_releases, ts)
  local h = redis.pcall('HMGET', 'rq:job:' .. child, 'status', 'origin', 'ttl', 'enqueue_at_front', 'allow_dependency_failures')
  local child_status, queue, failures_allowed = h[1], h[2], h[5] == '1'
  if child_status == 'deferred' and queue and parent_lets_go(status, failures_allowed, stopped_releases)
      and other_dependencies_met(child, parent, failures_allowed, ts) then
    queue_child(child, queue, h[3], h[4], ts)
    return true
  end
  return false
end

local function release_dependents(parent, status, stopped_releases, ts)
  local children = 'rq:job:' .. parent .. ':dependents'
  local n = call('SCARD', children)
  if n == 0 then return end
  if children_seen + n > most_children then
    local rest = ts .. ' ' .. parent
    call('RENAME', children, 'rq:releasing:' .. rest)
    call('PERSIST', 'rq:releasing:' .. rest)
    call('HSET', 'rq:releasing', rest, status)
    return
  end
  children_seen = children_seen + n
  for _, child in ipairs(call('SMEMBERS', children)) do
    if release_child(child, parent, status, stopped_releases, ts) then call('SREM', children, child) end
  end
end

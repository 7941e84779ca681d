-- Functions for scripts that remove a job: --@include forget.lua
--
-- forget_job(id) removes everything that mentions a job: list and intermediate entries (all copies), every
-- registry, executions with their started-registry members, group membership, its place in its parents'
-- dependents, result stream, both dependency sets and the hash.
--
-- Stands for rq/job.py Job.delete:
--   LREM, ZREM of the registry that fits the status, DEL rq:execution:*, ZREM rq:wip, SREM rq:group:*,
--   DEL hash, dependents, dependencies
-- Differences: all registries are cleared, whatever the status says, and the result stream goes as well.
local function forget_job(id)
  local job = 'rq:job:' .. id
  local h = redis.call('HMGET', job, 'origin', 'group_id')
  local executions = redis.call('ZRANGE', 'rq:executions:' .. id, 0, -1)
  if h[1] then
    local q = h[1]
    redis.call('LREM', 'rq:queue:' .. q, 0, id)
    redis.call('LREM', 'rq:queue:' .. q .. ':intermediate', 0, id)
    redis.call('DEL', 'rq:queue:' .. q .. ':intermediate:first_seen:' .. id)
    for _, registry in ipairs({ 'wip', 'finished', 'failed', 'deferred', 'scheduled', 'canceled' }) do
      redis.call('ZREM', 'rq:' .. registry .. ':' .. q, id)
    end
    for _, x in ipairs(executions) do
      redis.call('ZREM', 'rq:wip:' .. q, id .. ':' .. x)
    end
  end
  for _, x in ipairs(executions) do
    redis.call('DEL', 'rq:execution:' .. id .. ':' .. x)
  end
  if h[2] and h[2] ~= '' then redis.call('SREM', 'rq:group:' .. h[2], id) end
  for _, parent in ipairs(redis.call('SMEMBERS', 'rq:job::' .. id .. ':dependencies')) do
    redis.call('SREM', 'rq:job:' .. parent .. ':dependents', id)
  end
  redis.call('DEL', job, job .. ':dependents', 'rq:job::' .. id .. ':dependencies', 'rq:executions:' .. id, 'rq:results:' .. id)
end

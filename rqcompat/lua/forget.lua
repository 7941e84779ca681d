-- A function for scripts that remove a job: --@include forget.lua
--
-- forget_job(id) removes everything that mentions a job: list and intermediate entries if it may stand there, every
-- registry, executions with their started-registry members, group membership, its place in the dependents of (the first
-- hundred of) its parents, result stream, both dependency sets and the hash.
--
-- Stands for rq/job.py Job.delete:
--   LREM, ZREM of the registry that fits the status, DEL rq:execution:*, ZREM rq:wip, SREM rq:group:*,
--   DEL hash, dependents, dependencies
-- Differences: all registries are cleared, whatever the status says, and the result stream goes as well; what is large
-- is freed by another thread. A parent's dependent without a hash is ignored by everybody.
--@include take_out.lua
local function forget_job(id)
  local job = 'rq:job:' .. id
  local h = call('HMGET', job, 'origin', 'group_id', 'status')
  local queue, group, status = h[1], h[2], h[3]
  local executions = call('ZRANGE', 'rq:executions:' .. id, 0, -1)
  if queue then
    take_out(queue, id, status, executions)
    call('ZREM', 'rq:canceled:' .. queue, id)
    call('DEL', 'rq:queue:' .. queue .. ':intermediate:first_seen:' .. id)
  end
  for _, execution in ipairs(executions) do
    call('DEL', 'rq:execution:' .. id .. ':' .. execution)
  end
  if group and group ~= '' then call('SREM', 'rq:group:' .. group, id) end
  for _, parent in ipairs(call('SRANDMEMBER', 'rq:job::' .. id .. ':dependencies', 100)) do
    call('SREM', 'rq:job:' .. parent .. ':dependents', id)
  end
  call('UNLINK', job, job .. ':dependents', 'rq:job::' .. id .. ':dependencies', 'rq:executions:' .. id, 'rq:results:' .. id)
end

-- Cancels one job.
--
-- KEYS  1 rq:job:<id>
-- ARGV  1 id    2 now, whole seconds    3 now, text    4 "1": release its dependents
-- Reply 1 canceled, 0 it already was, -1 no such job
--
-- Stands for rq/job.py Job.cancel:
--   TX{ HSET status canceled, LREM, ZREM of the registry that fits the old status, ZADD rq:canceled }
--   and, with enqueue_dependents, Queue.enqueue_dependents(exclude_job_id) before it
-- Differences: all registries are cleared, whatever the status says; all copies leave the queue, and the
-- intermediate list too, where maintenance would otherwise fail the canceled job. A running job keeps its execution
-- records, which its worker removes.
--@include dependents.lua
local job, id, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local h = redis.call('HMGET', job, 'status', 'origin')
if redis.call('HEXISTS', job, 'data') == 0 then return -1 end
if h[1] == 'canceled' then return 0 end
local queue = h[2] or ''

if ARGV[4] == '1' then release_dependents(id, '', true, now, ARGV[3]) end
redis.call('HSET', job, 'status', 'canceled')
redis.call('LREM', 'rq:queue:' .. queue, 0, id)
redis.call('LREM', 'rq:queue:' .. queue .. ':intermediate', 0, id)
for _, registry in ipairs({ 'wip', 'finished', 'failed', 'deferred', 'scheduled' }) do
  redis.call('ZREM', 'rq:' .. registry .. ':' .. queue, id)
end
for _, x in ipairs(redis.call('ZRANGE', 'rq:executions:' .. id, 0, -1)) do
  redis.call('ZREM', 'rq:wip:' .. queue, id .. ':' .. x)
end
redis.call('ZADD', 'rq:canceled:' .. queue, now, id)
return 1

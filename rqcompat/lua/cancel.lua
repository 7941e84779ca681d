-- Cancels one job.
--
-- KEYS  1 rq:job:<id>
-- ARGV  1 id    2 now, whole seconds    3 now, text    4 "1": release its dependents
-- Reply 1 canceled, 0 it already was, -1 no such job
--
-- Stands for rq/job.py Job.cancel:
--   TX{ HSET status canceled, LREM, ZREM of the registry that fits the old status, ZADD rq:canceled }
--   and, with enqueue_dependents, Queue.enqueue_dependents(exclude_job_id) before it
-- Differences: all registries are cleared, whatever the status says; if the job may wait, all copies leave the queue, and
-- the intermediate list too. A running job keeps its execution records, which its worker removes.
local job = KEYS[1]
local id, now, ts, release = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local call = redis.call
--@include dependents.lua
--@include take_out.lua

local h = call('HMGET', job, 'status', 'origin')
local status, queue = h[1], h[2] or ''
if call('HEXISTS', job, 'data') == 0 then return -1 end
if status == 'canceled' then return 0 end

if release then release_dependents(id, '', true, ts) end
call('HSET', job, 'status', 'canceled')
take_out(queue, id, status, call('ZRANGE', 'rq:executions:' .. id, 0, -1))
call('ZADD', 'rq:canceled:' .. queue, now, id)
return 1

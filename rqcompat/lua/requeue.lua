-- Puts a failed, stopped or canceled job back into its queue, or one that waits for its retry.
--
-- KEYS  1 rq:job:<id>
-- ARGV  1 id    2 now, text    3 "LPUSH" or "RPUSH"    4 the empty exc_info (zlib of "")
--       5 "1": a scheduled job as well
-- Reply {1} done, {0, status} not in such a registry, {-1} no such job
--
-- Stands for rq/registry.py BaseRegistry.requeue:
--   ZREM rq:failed, HSET full save, TX{ SADD rq:queues, HSET status queued, HSET full save, EXPIRE x3, RPUSH|LPUSH }
-- Differences: one step, so the job can't get lost between; canceled jobs as well; worker_name, last_heartbeat and
-- the counts of killed workers and of retries start afresh; the expiry of the failed job is taken off at once, not when
-- it starts.
-- With 5 it also stands for what rq/scheduler.py does with one job that is due; the job's status says whether it is.
local job = KEYS[1]
local id, ts, push, empty_exc, scheduled = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local call = redis.call
--@include push.lua

local h = call('HMGET', job, 'status', 'origin', 'ttl')
local status, queue, ttl = h[1] or '', h[2] or '', h[3]
if call('HEXISTS', job, 'data') == 0 then return { -1 } end
if scheduled and status == 'scheduled' then
  call('ZREM', 'rq:scheduled:' .. queue, id)
  call('HSET', job, 'status', 'queued', 'enqueued_at', ts)
  push_job(queue, id, push, ttl)
  return { 1 }
end
local registry = ({ failed = 'rq:failed:', stopped = 'rq:failed:', canceled = 'rq:canceled:' })[status]
-- Acting only after having removed it keeps two callers from queueing it twice.
if not registry or call('ZREM', registry .. queue, id) ~= 1 then return { 0, status } end

call('HSET', job, 'status', 'queued', 'enqueued_at', ts, 'started_at', '', 'ended_at', '',
  'last_heartbeat', '', 'worker_name', '', 'exc_info', empty_exc)
call('HDEL', job, 'bridge_kills', 'bridge_beside', 'bridge_retries')
persist_job(id)
push_job(queue, id, push, ttl)
return { 1 }

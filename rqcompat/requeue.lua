-- Puts a failed, stopped or canceled job back into its queue.
--
-- KEYS  1 rq:job:<id>
-- ARGV  1 id    2 now, text    3 "LPUSH" or "RPUSH"    4 the empty exc_info (zlib of "")
-- Reply {1} done, {0, status} not in such a registry, {-1} no such job
--
-- Stands for rq/registry.py BaseRegistry.requeue:
--   ZREM rq:failed, HSET full save, TX{ SADD rq:queues, HSET status queued, HSET full save, EXPIRE x3, RPUSH|LPUSH }
-- Differences: one step, so the job can't get lost between; canceled jobs as well; worker_name, last_heartbeat and
-- the count of killed workers start afresh; the expiry of the failed job is taken off at once, not when it starts.
--@include dependents.lua
local job, id, ts = KEYS[1], ARGV[1], ARGV[2]
local h = redis.call('HMGET', job, 'status', 'origin', 'ttl')
if redis.call('HEXISTS', job, 'data') == 0 then return { -1 } end
local registries = { failed = 'rq:failed:', stopped = 'rq:failed:', canceled = 'rq:canceled:' }
local queue = h[2] or ''
local registry = registries[h[1] or '']
-- Acting only after having removed it keeps two callers from queueing it twice.
if not registry or redis.call('ZREM', registry .. queue, id) ~= 1 then return { 0, h[1] or '' } end

redis.call('HSET', job, 'status', 'queued', 'enqueued_at', ts, 'started_at', '', 'ended_at', '',
  'last_heartbeat', '', 'worker_name', '', 'exc_info', ARGV[4])
redis.call('HDEL', job, 'bridge_kills')
local ttl = tonumber(h[3] or '')
if ttl and ttl > 0 then
  expire_job(id, ttl)
else
  redis.call('PERSIST', job)
  redis.call('PERSIST', job .. ':dependents')
  redis.call('PERSIST', 'rq:job::' .. id .. ':dependencies')
end
redis.call('SADD', 'rq:queues', 'rq:queue:' .. queue)
redis.call(ARGV[3], 'rq:queue:' .. queue, id)
return { 1 }

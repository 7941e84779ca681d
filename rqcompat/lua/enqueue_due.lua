-- Moves scheduled jobs that are due to their queue, each in one step with leaving the schedule.
--
-- KEYS  none
-- ARGV  1 now, whole seconds    2 now, text    3 queue    4 most to look at
--       5 "1": enqueue_at_front_on_retry exists (2.8+)
-- Reply how many entries were looked at, how many jobs were enqueued
--
-- Stands for rq/scheduler.py enqueue_scheduled_jobs:
--   ZRANGEBYSCORE rq:scheduled 0 now LIMIT, HGETALL each, TX{ HSET status/enqueued_at, EXPIRE, R/LPUSH, ZREM }
-- Differences: two schedulers cannot enqueue a job twice; ids without a hash are removed (1.x leaves them); a job that
-- was canceled, or waits or runs already, only leaves the schedule; a missing timeout becomes RQ's default for Python.
local now, ts, queue, most, retry_front = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local default_timeout = '180'
local call = redis.call
--@include push.lua
--@include alone.lua

-- What can't be put into the queue stays scheduled.
holds('rq:queues', 'set')
holds('rq:queue:' .. queue, 'list')
local schedule = 'rq:scheduled:' .. queue
local ids = call('ZRANGEBYSCORE', schedule, 0, now, 'LIMIT', 0, most)
local enqueued = 0
for _, id in ipairs(ids) do
  call('ZREM', schedule, id)
  local job = 'rq:job:' .. id
  local h = redis.pcall('HMGET', job, 'status', 'ttl', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at', 'timeout')
  local status, ttl, at_front, at_front_on_retry, ended, timeout = h[1], h[2], h[3], h[4], h[5], h[6]
  if status and status ~= 'canceled' and status ~= 'queued' and status ~= 'started' then
    call('HSET', job, 'status', 'queued', 'enqueued_at', ts)
    if not timeout then call('HSET', job, 'timeout', default_timeout) end
    local front = at_front == '1' or (retry_front and at_front_on_retry == '1' and ended and ended ~= '')
    push_job(queue, id, front and 'LPUSH' or 'RPUSH', ttl)
    enqueued = enqueued + 1
  end
end
return { #ids, enqueued }

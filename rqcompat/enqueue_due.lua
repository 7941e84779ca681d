-- Moves scheduled jobs that are due to their queue, each in one step with leaving the schedule.
--
-- KEYS  none
-- ARGV  1 flags, see job_end.lua    2 now, whole seconds    3 now, text    4 queue    5 most to look at
-- Reply how many entries were looked at, how many jobs were enqueued
--
-- Stands for rq/scheduler.py enqueue_scheduled_jobs:
--   ZRANGEBYSCORE rq:scheduled 0 now LIMIT, HGETALL each, TX{ HSET status/enqueued_at, EXPIRE, R/LPUSH, ZREM }
-- Differences: two schedulers cannot enqueue a job twice; ids without a hash are removed (1.x leaves them); a job
-- that was canceled, or waits or runs already, only leaves the schedule.
local flags, now, ts = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local queue = ARGV[4]
--@include job_end.lua

local default_timeout = '180'
local key = 'rq:scheduled:' .. queue
local ids = call('ZRANGEBYSCORE', key, 0, now, 'LIMIT', 0, ARGV[5])
local enqueued = 0
for _, id in ipairs(ids) do
  call('ZREM', key, id)
  local job = 'rq:job:' .. id
  local h = redis.pcall('HMGET', job, 'status', 'ttl', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at', 'timeout')
  local status = h[1]
  if status and status ~= 'canceled' and status ~= 'queued' and status ~= 'started' then
    call('HSET', job, 'status', 'queued', 'enqueued_at', ts)
    if not h[6] then call('HSET', job, 'timeout', default_timeout) end
    local front = h[3] == '1' or (retry_front and h[4] == '1' and h[5] and h[5] ~= '')
    push_job(queue, id, front and 'LPUSH' or 'RPUSH', h[2])
    enqueued = enqueued + 1
  end
end
return { #ids, enqueued }

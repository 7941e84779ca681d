-- Writes one job and puts it where it belongs.
--
-- KEYS  1 rq:job:<id>    2 rq:queue:<q>
-- ARGV  1 id    2 queue    3 "back", "front" or "schedule"    4 due, whole seconds (schedule)
--       5 now, text    6 ttl or ""    7 "1": refuse when a live job has this id, replace any other
--       8 score in rq:deferred    9 "1": the ttl of a scheduled job runs from now (2.8+)
--       10 "1": failed dependencies are fine    11 number of dependencies, then their ids
--       then the hash's names and values, without status and enqueued_at
-- Reply {"queued"|"scheduled"|"deferred"}, or {"duplicate", status}, or {"dependency", id, status}
--
-- Stands for, in rq/queue.py:
--   enqueue_job     TX{ SADD rq:queues, HSET, EXPIRE x3, RPUSH|LPUSH }
--   schedule_job    TX{ SADD rq:queues, HSET, [EXPIRE x3], ZADD rq:scheduled }    (RQ's ZADD comes first and outside)
--   setup_dependencies    WATCH parents, HGETALL each, TX{ HSET, ZADD rq:deferred, SADD both sets, EXPIRE x3 }
-- A script needs no WATCH. A dependency that can't be met any more is refused; RQ would defer for ever.
--@include dependents.lua
--@include forget.lua
local id, queue, where, ts, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[5], tonumber(ARGV[6])
local job = KEYS[1]
local live = { queued = true, started = true, scheduled = true, deferred = true }

if ARGV[7] == '1' then
  local status = redis.call('HGET', job, 'status')
  if status and live[status] then return { 'duplicate', status } end
end

local count = tonumber(ARGV[11])
local pending = false
for i = 12, 11 + count do
  -- A parent without a hash is ignored, as in RQ: it ended long ago or never was.
  local parent = redis.call('HGET', 'rq:job:' .. ARGV[i], 'status')
  if parent == 'canceled' or parent == 'stopped' or (parent == 'failed' and ARGV[10] ~= '1') then
    return { 'dependency', ARGV[i], parent }
  end
  if parent and parent ~= 'finished' and parent ~= 'failed' then pending = true end
end

if ARGV[7] == '1' and redis.call('EXISTS', job) == 1 then forget_job(id) end

local status = where == 'schedule' and 'scheduled' or pending and 'deferred' or 'queued'
ARGV[#ARGV + 1], ARGV[#ARGV + 2] = 'status', status
if status == 'queued' then ARGV[#ARGV + 1], ARGV[#ARGV + 2] = 'enqueued_at', ts end
-- In chunks, because a script can't pass arbitrarily many arguments.
for i = 12 + count, #ARGV, 200 do
  redis.call('HSET', job, unpack(ARGV, i, math.min(i + 199, #ARGV)))
end
-- A job that is written over an old one must not go with the old one's expiry.
redis.call('PERSIST', job)
if ttl and (status ~= 'scheduled' or ARGV[9] == '1') then expire_job(id, ttl) end
redis.call('SADD', 'rq:queues', KEYS[2])

if status == 'scheduled' then
  redis.call('ZADD', 'rq:scheduled:' .. queue, ARGV[4], id)
elseif status == 'deferred' then
  redis.call('ZADD', 'rq:deferred:' .. queue, ARGV[8], id)
  for i = 12, 11 + count do
    redis.call('SADD', 'rq:job:' .. ARGV[i] .. ':dependents', id)
    redis.call('SADD', 'rq:job::' .. id .. ':dependencies', ARGV[i])
  end
  if ttl then redis.call('EXPIRE', 'rq:job::' .. id .. ':dependencies', ttl) end
else
  redis.call(where == 'front' and 'LPUSH' or 'RPUSH', KEYS[2], id)
end
return { status }

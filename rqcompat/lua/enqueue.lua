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
-- A script needs no WATCH. A dependency that can't be met any more is refused; RQ would defer forever.
local job, list = KEYS[1], KEYS[2]
local id, queue, where, due, ts, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local deduplicate, deferred_score, ttl_from_now, failures_allowed = ARGV[7] == '1', ARGV[8], ARGV[9] == '1', ARGV[10] == '1'
local first_parent, last_parent = 12, 11 + ARGV[11]
local first_field = last_parent + 1
local call = redis.call
--@include push.lua
--@include forget.lua

if deduplicate then
  local live = { queued = true, started = true, scheduled = true, deferred = true }
  local status = call('HGET', job, 'status')
  if status and live[status] then return { 'duplicate', status } end
end

local pending = false
for i = first_parent, last_parent do
  local parent = ARGV[i]
  -- A parent without a hash is ignored, as in RQ: it ended long ago or never was.
  local status = call('HGET', 'rq:job:' .. parent, 'status')
  if status == 'canceled' or status == 'stopped' or (status == 'failed' and not failures_allowed) then
    return { 'dependency', parent, status }
  end
  if status and status ~= 'finished' and status ~= 'failed' then pending = true end
end

if deduplicate and call('EXISTS', job) == 1 then forget_job(id) end

local status = where == 'schedule' and 'scheduled' or pending and 'deferred' or 'queued'
ARGV[#ARGV + 1], ARGV[#ARGV + 2] = 'status', status
if status == 'queued' then ARGV[#ARGV + 1], ARGV[#ARGV + 2] = 'enqueued_at', ts end
-- In chunks, because a script can't pass arbitrarily many arguments.
for i = first_field, #ARGV, 200 do
  call('HSET', job, unpack(ARGV, i, math.min(i + 199, #ARGV)))
end
-- A job that is written over an old one must not go with the old one's expiry.
call('PERSIST', job)
if ttl and (status ~= 'scheduled' or ttl_from_now) then expire_job(id, ttl) end
call('SADD', 'rq:queues', list)

if status == 'scheduled' then
  call('ZADD', 'rq:scheduled:' .. queue, due, id)
elseif status == 'deferred' then
  call('ZADD', 'rq:deferred:' .. queue, deferred_score, id)
  for i = first_parent, last_parent do
    local parent = ARGV[i]
    call('SADD', 'rq:job:' .. parent .. ':dependents', id)
    call('SADD', 'rq:job::' .. id .. ':dependencies', parent)
  end
  if ttl then call('EXPIRE', 'rq:job::' .. id .. ':dependencies', ttl) end
else
  call(where == 'front' and 'LPUSH' or 'RPUSH', list, id)
end
return { status }

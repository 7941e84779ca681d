-- Puts a running job back that Redis has lost, or has as it was some time ago, if nobody else has it by now.
--
-- KEYS  none
-- ARGV  1 "1": composite wip members and execution records (RQ 2.x)    2 now, text
--       3 score for rq:wip    4 TTL of the worker's record    5 "1": the caller knows from elsewhere that the attempt is the job's
--       6 queue   7 id   8 worker   9 execution   10 started_at, text   11 created_at, text
--       12 to 18 the worker's record, see worker_record.lua; then the fields of the job's hash, each with its value
-- Reply 0 it was there, as it should be    1 the job has ended, or is somebody else's    2 it was put back
--
-- Stands for nothing in RQ, which knows no worker that outlives its server's data. Execution records and heartbeats are what a
-- full renewal writes.
local composite, ts, score, ttl, sure = ARGV[1] == '1', ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local queue, id, worker, execution, started, created = unpack(ARGV, 6, 11)
local call = redis.call
--@include worker_record.lua

local job, wip = 'rq:job:' .. id, 'rq:wip:' .. queue
local member = composite and (id .. ':' .. execution) or id
local status, owner, owner_started, was_created = unpack(call('HMGET', job, 'status', 'worker_name', 'started_at', 'created_at'), 1, 4)
if owner == worker and owner_started == started then
  if status ~= 'started' then return 1 end
  call('ZADD', wip, score, member)
  return 0
end
if status and not sure then
  if was_created ~= created then return 1 end
  local left = status == 'queued' and call('LREM', 'rq:queue:' .. queue, 1, id)
    or status == 'scheduled' and call('ZREM', 'rq:scheduled:' .. queue, id) or 0
  if left == 0 then return 1 end
end
if status and sure then
  call('LREM', 'rq:queue:' .. queue, 0, id)
  for _, registry in ipairs({ 'scheduled', 'failed', 'finished', 'deferred', 'canceled', 'wip' }) do
    call('ZREM', 'rq:' .. registry .. ':' .. queue, id)
  end
  if composite then
    for _, x in ipairs(call('ZRANGE', 'rq:executions:' .. id, 0, 99)) do call('ZREM', wip, id .. ':' .. x) end
    call('DEL', 'rq:executions:' .. id)
  end
end
call('ZADD', wip, score, member)
call('DEL', job)
call('HSET', job, unpack(ARGV, 19))
call('HSET', job, 'status', 'started', 'origin', queue, 'worker_name', worker, 'started_at', started, 'last_heartbeat', ts, 'ended_at', '')
call('SADD', 'rq:queues', 'rq:queue:' .. queue)
local record = 'rq:worker:' .. worker
write_worker(record, 12, 'last_heartbeat', ts, 'state', 'busy', 'current_job', id, 'current_job_working_time', '0')
call('EXPIRE', record, ttl)
return 2

-- Takes one job away from a worker that let its lease lapse, and gives it back to the head of its queue.
--
-- KEYS  none
-- ARGV  1 flags, see job_end.lua    2 now, whole seconds    3 now, text    4 now, float seconds
--       5 queue   6 member of rq:wip   7 id   8 execution   9 worker   10 started_at, text   11 the same, float
--       12 how many lapses make the job fail   13 exception text for that, base64 of zlib
--       14 a lease that ends before this has lapsed, whole seconds
-- Reply 0 the lease was renewed, or somebody else was faster: nothing was changed
--       1 the job had ended, or is gone: only the entry was removed    2 queued again    3 failed
--
-- Stands for nothing in RQ, which fails such jobs (abandon.lua). The hash field bridge_kills counts the lapses;
-- a job that ends, in whatever way, loses the count.
local flags, now, ts, float = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local queue, member, id, x, worker = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
--@include job_end.lua

local job = 'rq:job:' .. id
local score = tonumber(call('ZSCORE', 'rq:wip:' .. queue, member) or '')
if not score or score >= tonumber(ARGV[14]) then return 0 end
local h = call('HMGET', job, 'status', 'worker_name', 'started_at', 'bridge_kills', 'ttl', 'failure_ttl')
local running = h[1] == 'started'
local same = running and h[2] == worker and h[3] == ARGV[10]
-- A bare member that belongs to another run than the caller saw is not the caller's to judge.
if running and not same and not composite then return 0 end

call('ZREM', 'rq:wip:' .. queue, member)
if composite then
  call('DEL', 'rq:execution:' .. id .. ':' .. x)
  call('ZREM', 'rq:executions:' .. id, x)
end
if not same then return 1 end

local key = 'rq:worker:' .. worker
if call('HGET', key, 'current_job') == id then
  call('HDEL', key, 'current_job')
  call('HSET', key, 'state', 'idle', 'current_job_working_time', '0')
end
local kills = (tonumber(h[4] or '') or 0) + 1
if kills >= tonumber(ARGV[12]) then
  call('HDEL', job, 'bridge_kills')
  fail_job(queue, id, 'failed', ARGV[13], worker, x, ts, ARGV[11], float, h[6])
  return 3
end
call('HSET', job, 'status', 'queued', 'started_at', '', 'ended_at', '', 'last_heartbeat', '', 'worker_name', '', 'bridge_kills', kills)
push_job(queue, id, 'LPUSH', h[5])
return 2

-- Takes one job away from a worker that let its lease lapse, or whose process is dead, and gives it back to the head of its queue.
--
-- KEYS  none
-- ARGV  1 flags, see job_end.lua    2 now, whole seconds    3 now, text    4 now, float seconds
--       5 queue   6 member of rq:wip   7 id   8 execution   9 worker   10 started_at, text   11 the same, float
--       12 how many lapses make the job fail   13 exception text for that, base64 of zlib
--       14 a lease that ends before this has lapsed, whole seconds (now + slack); one whose score is whole is RQ's, which adds no slack
--       15 who ran beside the job whenever it lapsed, a line each
--       16 the process that must be silent if the lease has not lapsed, "" for none
--       17 the number of limits that count the worker, then their keys
--       then the job that runs its failure callback in Python, see hand_over.lua, if there is one
-- Reply 0 the lease was renewed, the process is heard again, or somebody else was faster: nothing was changed
--       1 the job had ended, or is gone: only the entry was removed    2 queued again    3 failed
--
-- Stands for nothing in RQ, which fails such jobs (abandon.lua). The hash field bridge_kills counts the lapses, and
-- bridge_beside says who else was there; a job that ends, in whatever way, loses both.
local flags, now, ts, float = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local queue, member, id, execution, worker, started, from = unpack(ARGV, 5, 11)
local most_kills, exc, lapsed_before, beside = tonumber(ARGV[12]), ARGV[13], tonumber(ARGV[14]), ARGV[15]
local process, limits = ARGV[16], tonumber(ARGV[17])
local callback = 18 + limits
local call = redis.call
--@include job_end.lua
--@include hand_over.lua

local job = 'rq:job:' .. id
local score = tonumber(call('ZSCORE', 'rq:wip:' .. queue, member) or '')
if not score then return 0 end
-- In RQ 1.x a worker that was the job's before may extend it once more, by a minute: rq/worker.py maintain_heartbeats.
if score % 1 == 0 then lapsed_before = now end
if score >= lapsed_before and (process == '' or call('PUBSUB', 'NUMSUB', 'rq:pubsub:' .. process)[2] > 0) then return 0 end
local h = call('HMGET', job, 'status', 'worker_name', 'started_at', 'bridge_kills', 'ttl', 'failure_ttl')
local status, owner, owner_started, kills, ttl, failure_ttl = unpack(h, 1, 6)
local running = status == 'started'
local same = running and owner == worker and owner_started == started
-- A bare member that belongs to another run than the caller saw is not the caller's to judge.
if running and not same and not composite then return 0 end

if composite then holds('rq:executions:' .. id, 'zset') end
local record = 'rq:worker:' .. worker
local shown = same and call('HGET', record, 'current_job')
if same then may_wait(queue) end
without_odd(id)
-- A server that has no memory left still lets go of entries, but lets no worker renew one: then nobody takes from it.
call('ZADD', 'rq:wip:' .. queue, 'XX', score, member)
call('ZREM', 'rq:wip:' .. queue, member)
drop_execution(id, execution)
if not same then return 1 end

for i = 18, callback - 1 do redis.pcall('ZREM', 'rq:limit:' .. ARGV[i], worker) end
if shown == id then
  call('HDEL', record, 'current_job')
  call('HSET', record, 'state', 'idle', 'current_job_working_time', '0')
end
kills = (tonumber(kills or '') or 0) + 1
if kills >= most_kills then
  call('HDEL', job, 'bridge_kills', 'bridge_beside', 'bridge_retries')
  if ARGV[callback] and pcall(may_hand_over, callback) then hand_over(callback, id, 'failed', ts, exc) end
  return fail_job(queue, id, 'failed', exc, worker, execution, ts, from, float, failure_ttl) or 3
end
call('HSET', job, 'status', 'queued', 'started_at', '', 'ended_at', '', 'last_heartbeat', '', 'worker_name', '', 'bridge_kills', kills, 'bridge_beside', beside)
push_job(queue, id, 'LPUSH', ttl)
return 2

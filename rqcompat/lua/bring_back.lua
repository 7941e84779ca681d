-- Brings back one job that a worker left behind, if it is still as it was found.
--
-- KEYS  none
-- ARGV  1 flags, see job_end.lua    2 now, whole seconds    3 now, text    4 now, float seconds
--       5 how it was left: "lost", "stuck", "abandoned", "unregistered" or "stale"
--       6 queue   7 id   8 status   9 enqueued_at   10 started_at   11 worker, all as the hash has them, "" for none
--       12 member of rq:wip or ""   13 its execution or ""
--       14 how many lost starts make the job fail   15 exception text for that, base64 of zlib
-- Reply 0 it isn't as it was: nothing was changed; 1 only the entry was removed; 2 queued again; 3 failed;
--       4 back in rq:failed, as its status says
--
-- Stands for the parts of rq/registry.py StartedJobRegistry.cleanup and rq/intermediate_queue.py that end such jobs, and
-- beyond them for what RQ has nothing for. A job goes where RQ's requeue and retry put it, the end of its queue; one that
-- was scheduled where RQ's scheduler puts it. The hash field bridge_kills counts starts that came to nothing, as in rescue.lua.
local flags, now, ts, float = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local kind, queue, id = ARGV[5], ARGV[6], ARGV[7]
local member, execution, most_kills, exc = ARGV[12], ARGV[13], tonumber(ARGV[14]), ARGV[15]
local call = redis.call
--@include job_end.lua

local job, wip, intermediate = 'rq:job:' .. id, 'rq:wip:' .. queue, 'rq:queue:' .. queue .. ':intermediate'
--@include left_behind.lua
local h = call('HMGET', job, 'status', 'enqueued_at', 'started_at', 'worker_name', 'ttl', 'failure_ttl', 'bridge_kills', 'enqueue_at_front')
local has_data = call('HEXISTS', job, 'data') == 1
for i = 1, 4 do
  -- To RQ a hash without data is no job.
  if (has_data and h[i] or '') ~= ARGV[7 + i] then return 0 end
end
local status, ttl, failure_ttl, kills = h[1], h[5], h[6], tonumber(h[7] or '') or 0

local function waits() return listed('rq:queue:' .. queue) or listed('rq:first:' .. queue) end

-- leave_intermediate also removes the marker, which would take the next visit of this id its grace period.
local function leave_intermediate()
  call('DEL', intermediate .. ':first_seen:' .. id)
  return call('LREM', intermediate, 0, id) > 0
end

may_end()

if kind == 'stale' then
  if member == '' then return not in_wip() and leave_intermediate() and 1 or 0 end
  if call('ZREM', wip, member) == 0 then return 0 end
  drop_execution(id, execution)
  return 1
end
local over = status == 'failed' or status == 'stopped'
if not over and waits() then return 0 end
if kind == 'abandoned' then
  local score = tonumber(call('ZSCORE', wip, member) or '')
  if not score or score > now then return 0 end
  call('ZREM', wip, member)
  drop_execution(id, execution)
  leave_intermediate()
elseif in_wip() then
  return 0
elseif kind == 'stuck' then
  if not leave_intermediate() then return 0 end
elseif listed(intermediate) or call('ZSCORE', 'rq:scheduled:' .. queue, id) then
  return 0
elseif over then
  if call('ZSCORE', 'rq:failed:' .. queue, id) then return 0 end
  ttl = tonumber(ttl_of(failure_ttl) or 31536000)
  call('ZADD', 'rq:failed:' .. queue, ttl < 0 and ttl or now + ttl, id)
  if ttl > 0 then expire_job(id, ttl) end
  return 4
elseif status == 'started' and call('HGET', 'rq:worker:' .. ARGV[11], 'current_job') == id then
  return 0
end

if status == 'started' then kills = kills + 1 end
if kills >= most_kills then
  call('HDEL', job, 'bridge_kills', 'bridge_beside', 'bridge_retries')
  return fail_job(queue, id, 'failed', exc, ARGV[11], execution, ts, float, float, failure_ttl) or 3
end
call('HSET', job, 'status', 'queued', 'enqueued_at', ts, 'started_at', '', 'ended_at', '', 'last_heartbeat', '', 'worker_name', '')
if kills > 0 then call('HSET', job, 'bridge_kills', kills) end
persist_job(id)
push_job(queue, id, status == 'scheduled' and h[8] == '1' and 'LPUSH' or 'RPUSH', ttl)
return 2

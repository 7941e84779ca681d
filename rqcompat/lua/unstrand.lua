-- Puts a job into its queue that says it waits or runs, and does neither.
--
-- KEYS  1 rq:job:<id>
-- ARGV  1 id    2 now, text
-- Reply 1 it is in its queue now, 0 it was on its way, or says something else
--
-- Stands for nothing in RQ, which never finds such a job: one that was popped without a copy, or whose member of the started
-- registry is gone. The caller has seen for a while that nobody has it.
local job, id, ts = KEYS[1], ARGV[1], ARGV[2]
local call = redis.call
--@include push.lua

local h = call('HMGET', job, 'status', 'origin', 'ttl')
local status, queue, ttl = h[1], h[2] or '', h[3]
local list = 'rq:queue:' .. queue
if status == 'queued' then
  if call('LPOS', list, id, 'RANK', -1, 'MAXLEN', 1000) or call('LPOS', list, id) then return 0 end
  if call('LPOS', list .. ':intermediate', id) or call('LPOS', 'rq:first:' .. queue, id) then return 0 end
elseif status == 'started' then
  if call('ZSCORE', 'rq:wip:' .. queue, id) then return 0 end
  for _, x in ipairs(call('ZRANGE', 'rq:executions:' .. id, 0, 99)) do
    if call('ZSCORE', 'rq:wip:' .. queue, id .. ':' .. x) then return 0 end
  end
else
  return 0
end
call('HSET', job, 'status', 'queued', 'enqueued_at', ts, 'started_at', '', 'ended_at', '', 'last_heartbeat', '', 'worker_name', '')
push_job(queue, id, 'RPUSH', ttl)
return 1

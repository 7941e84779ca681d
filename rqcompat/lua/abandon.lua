-- Ends one job that a dead worker, or nobody, has in hand: retried if it has retries left, else failed.
--
-- KEYS  none
-- ARGV  1 flags, see job_end.lua    2 now, whole seconds    3 now, text    4 now, float seconds
--       5 where it was found: "wip", "intermediate" or "deferred"
--       6 queue   7 member of rq:wip (for "wip")   8 id   9 execution or ""   10 exception text, base64 of zlib
-- Reply 0 it is gone or alive, nothing was changed; 1 only the entry was removed; 2 retried; 3 failed
--
-- Stands for one turn of rq/registry.py StartedJobRegistry.cleanup, of DeferredJobRegistry.cleanup (2.0-2.7) or
-- of rq/intermediate_queue.py cleanup_intermediate_queue. Differences: the entry is removed and acted upon in one
-- step, so that two cleaners cannot retry a job twice; a job that has meanwhile ended, or is queued again,
-- only loses its entry. Failure callbacks are Python code and are not run.
local flags, now, ts, float = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local where, queue, member, id, execution, exc = unpack(ARGV, 5, 10)
local call = redis.call
--@include job_end.lua

local wip, intermediate = 'rq:wip:' .. queue, 'rq:queue:' .. queue .. ':intermediate'
--@include left_behind.lua

local function expired(key, m)
  local s = tonumber(call('ZSCORE', key, m) or '')
  return s and s <= now and call('ZREM', key, m) == 1
end

-- What can't be ended stays where it is.
may_end()
if where == 'wip' then
  if not expired(wip, member) then return 0 end
  drop_execution(id, execution)
elseif where == 'deferred' then
  if not expired('rq:deferred:' .. queue, id) then return 0 end
elseif in_wip() or call('LREM', intermediate, 1, id) == 0 then
  return 0
else
  -- The marker would take the next visit of this id its grace period.
  call('DEL', intermediate .. ':first_seen:' .. id)
end

local h = redis.pcall('HMGET', 'rq:job:' .. id, 'retries_left', 'retry_intervals', 'enqueue_at_front_on_retry', 'ttl',
  'failure_ttl', 'status', 'started_at')
local retries_left, failure_ttl, status, started = h[1], h[5], h[6], h[7]
if where == 'deferred' then
  if status ~= 'deferred' then return 1 end
elseif status == 'queued' then
  -- Queued and in no list: the worker died between taking it out and starting it.
  if listed('rq:queue:' .. queue) or (where == 'wip' and listed(intermediate)) then return 1 end
elseif status ~= 'started' then
  return 1
end
if where ~= 'deferred' and (tonumber(retries_left or '') or 0) > 0 then
  retry_job(queue, id, ts, h)
  return 2
end
-- Without a start there must be no end either: Frappe's desk computes the difference.
local ended = started and started ~= '' and ts or ''
return fail_job(queue, id, 'failed', exc, '', execution, ended, float, float, failure_ttl) or 3

-- Extends the leases of a batch of running jobs that are still the caller's.
--
-- KEYS  none
-- ARGV  1 "1": composite wip members and execution records (RQ 2.x)    2 "1": full heartbeat
--       3 now, whole seconds   4 now, text   5 now, float seconds   6 score for rq:wip   7 TTL of the records
--       8 number of leases   9 now, milliseconds
--       then per lease 6 values: queue, id, worker, execution, started_at as text, seconds worked
--       then per limit that counts a lease 3 values: number of the lease, key, lease of the limit in milliseconds
-- Reply one number per lease: 0 held, 1 lost, 2 the job was deleted, 3 the job was canceled; or the error that this one
--       met
--
-- Full stands for rq/worker.py maintain_heartbeats: ZADD rq:wip, last_heartbeat of job, worker and execution with their
-- TTLs. Not full moves the score only. Who owns a job is what its hash says (status "started", worker_name,
-- started_at). A composite member belongs to one execution, so when it is there no look at the hash is needed. When it
-- is gone although the hash names this execution, it is put back: cleaners of RQ 1.x drop members they cannot read.
-- Nothing is written for a job that is not the caller's, so nothing that was deleted comes back.
local composite, full = ARGV[1] == '1', ARGV[2] == '1'
local now, ts, float, score, ttl = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local now_ms, first_lease = tonumber(ARGV[9]), 10
local first_limit = first_lease + tonumber(ARGV[8]) * 6
local call = redis.call
--@include alone.lua
--@include grouped.lua

local function state(queue, id, worker, started, member)
  if composite and not full and call('ZSCORE', 'rq:wip:' .. queue, member) then return 0 end
  local h = call('HMGET', 'rq:job:' .. id, 'status', 'worker_name', 'started_at')
  local status, owner, owner_started = h[1], h[2], h[3]
  if owner == worker and owner_started == started then
    if status == 'started' then return 0 end
    if status == 'canceled' then return 3 end
    return 1
  end
  if not status and call('EXISTS', 'rq:job:' .. id) == 0 then return 2 end
  return 1
end

local function heartbeat(id, worker, execution, working)
  call('HSET', 'rq:job:' .. id, 'last_heartbeat', ts)
  -- A vanished worker record is written again by the worker's own heartbeat, which knows all of it.
  local key = 'rq:worker:' .. worker
  if call('EXPIRE', key, ttl) == 1 then
    call('HSET', key, 'last_heartbeat', ts, 'current_job_working_time', working)
  end
  if composite then
    key = 'rq:execution:' .. id .. ':' .. execution
    if call('HSET', key, 'last_heartbeat', float) == 1 then
      call('HSET', key, 'id', execution, 'created_at', string.format('%.6f', float - working), 'job_id', id, 'worker_name', worker)
    end
    call('EXPIRE', key, ttl)
    key = 'rq:executions:' .. id
    call('ZADD', key, now + ttl + 60, execution)
    call('EXPIRE', key, ttl + 60)
  end
end

local result, members = {}, {}

local function renew(i)
  local queue, id, worker, execution, started, working = unpack(ARGV, i, i + 5)
  local member = composite and (id .. ':' .. execution) or id
  local s = state(queue, id, worker, started, member)
  if s == 0 then
    add(members, 'ZADD', 'rq:wip:', queue, score, member)
    if full then heartbeat(id, worker, execution, working) end
  end
  return s
end

for i = first_lease, first_limit - 1, 6 do
  result[#result + 1] = alone(renew, i)
end
local failed = send(members)
for n = 1, failed and #result or 0 do
  if result[n] == 0 then result[n] = failed[ARGV[first_lease + (n - 1) * 6]] or 0 end
end
-- A limit under whose name is something else counts nothing.
for i = first_limit, #ARGV, 3 do
  local n, key, lease = tonumber(ARGV[i]), 'rq:limit:' .. ARGV[i + 1], tonumber(ARGV[i + 2])
  if result[n] == 0 then
    redis.pcall('ZADD', key, string.format('%.0f', now_ms + lease), ARGV[first_lease + (n - 1) * 6 + 2])
    call('PEXPIRE', key, string.format('%.0f', lease + 60000))
  end
end
return result

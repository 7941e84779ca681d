-- Claims a batch of jobs by id: each that is still in its queue leaves it and is running when the script returns.
--
-- KEYS  none (job keys follow from the ids; RQ's layout rules out Redis Cluster anyway)
-- ARGV  1 "1": members of rq:wip are <id>:<execution> and executions have records (RQ 2.x)
--       2 "1": first_seen markers exist (RQ >= 1.16.2)
--       3 now, whole seconds    4 started_at, text    5 the same, float seconds
--       6 score for rq:wip (now + lease)       7 TTL of worker and execution records
--       8 number of worker records n    9 number of jobs    10 now, milliseconds
--       then n times 7 values, see worker_record.lua; then per job 8 values: queue, id, worker, execution, number of its worker's record, "1" to register,
--       where it stands: "" in its queue, "failed" in the failed registry, else the key of a list that First made; and
--       created_at of the job that the caller has read, "" for none
--       then per limit of a job 5 values: number of the job, key, most, window in milliseconds ("0": of those that run),
--       lease in milliseconds; see limits.lua
-- Reply one number per job: 0 not there (or, of a failed one, not failed any more), 1 claimed, 2 no job hash, 3 canceled, 4 running already,
--       5 to be asked for again: looking for others in long lists has taken long enough, 6 claimed, but another job bears
--       the id than the one that was read; below 0: one of its limits holds it, minus of 8 times the milliseconds until
--       that frees at the latest and the place of the limit among its own, from 1.
--       0, 5 and less change nothing; 2, 3 and 4 only remove the entry from where it stood. Or the error that this one met: then it
--       stands where it stood, or, if its start failed halfway, in the started registry, from where it is rescued.
--
-- Stands for what a Python worker does between its pop and the call of the function
-- (rq/worker.py prepare_execution, prepare_job_execution; section by section the same writes):
--   [2.x: HSET+EXPIRE rq:execution, ZADD+EXPIRE rq:executions] ZADD rq:wip, HSET state/current_job and EXPIRE
--   of the worker, HSET of the job, LREM of the intermediate list, PERSIST of the job.
-- Differences: one step instead of three; the entry leaves the list in the same step; a canceled job and a
-- second copy of a running one are not run; a failed job starts without having been queued again, which is
-- rq/registry.py BaseRegistry.requeue and the claim in one; a job with a missing or foreign origin gets its queue as origin,
-- because every peer looks for it in the registries of its origin; DEL of a stale first_seen marker.
local composite, markers = ARGV[1] == '1', ARGV[2] == '1'
local now, ts, float, score, ttl, records = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local now_ms = tonumber(ARGV[10])
local first_record = 11
local first_claim = first_record + records * 7
local first_limit = first_claim + tonumber(ARGV[9]) * 8
-- Numbers that go into many commands are made strings once: each conversion costs as much as a small command.
local index_ttl = tostring(ttl + 60)
local index_score = tostring(now + index_ttl)
local call = redis.call
--@include alone.lua
--@include grouped.lua
--@include worker_record.lua
--@include limits.lua

-- leased says whether a member's lease runs; where the job's origin is no queue there is none.
local function leased(queue, member)
  return (tonumber(redis.pcall('ZSCORE', 'rq:wip:' .. queue, member)) or 0) > now
end

local function running(queue, id)
  if not composite then return leased(queue, id) end
  for _, x in ipairs(call('ZRANGE', 'rq:executions:' .. id, 0, -1)) do
    if leased(queue, id .. ':' .. x) then return true end
  end
  return false
end

-- A list is walked from one end, some 20 ns an entry. Near either end of a long one a job is found at once; what stands
-- in between, with much of others before and behind it, may cost this many entries and then one more search.
local near, deep = 500, 100000
local walked, lengths = 0, {}

-- pull removes an id from a list; nil is not now.
local function pull(list, id)
  local length = lengths[list]
  if not length then
    length = call('LLEN', list)
    lengths[list] = length
  end
  if length > 2 * near and not call('LPOS', list, id, 'MAXLEN', near) then
    if walked > deep then return nil end
    if call('LPOS', list, id, 'RANK', -1, 'MAXLEN', near) then return call('LREM', list, -1, id) == 1 end
    walked = walked + length
  end
  return call('LREM', list, 1, id) == 1
end

-- take_out removes the job from where it stands; nil is not now.
local function take_out(queue, id, from)
  if from == '' then return pull('rq:queue:' .. queue, id) end
  if from ~= 'failed' then return pull(from, id) end
  -- Stopped jobs are in the same registry.
  local status = redis.pcall('HGET', 'rq:job:' .. id, 'status')
  return status == 'failed' and call('ZREM', 'rq:failed:' .. queue, id) == 1
end

-- What the start of each job needs is asked before its entry is taken out: of a queue once, and of the job. The entry and
-- the started registry come first and next to each other, so that no error later can leave a job in neither.
local intermediate = {}

local function ready(queue)
  if intermediate[queue] ~= nil then return end
  holds('rq:wip:' .. queue, 'zset')
  intermediate[queue] = holds('rq:queue:' .. queue .. ':intermediate', 'list')
end

local result, origins, members, another = {}, {}, {}, {}
local limits = {} -- by number of the job: where each of its limits stands
for i = first_limit, #ARGV, 5 do
  local n = tonumber(ARGV[i])
  limits[n] = limits[n] or {}
  table.insert(limits[n], i + 1)
end

local function take(i, n)
  local queue, id, worker, execution, from = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 6]
  ready(queue)
  if composite then holds('rq:executions:' .. id, 'zset') end
  local waits = limits[n] and held(limits[n])
  if waits then return waits end
  local taken = take_out(queue, id, from)
  if not taken then return taken == nil and 5 or 0 end
  local h = redis.pcall('HMGET', 'rq:job:' .. id, 'status', 'origin', 'created_at')
  local status, origin = h[1], h[2]
  if status == 'canceled' then return 3 end
  if status == 'started' and running(origin or queue, id) then return 4 end
  if not status and (h.err or call('EXISTS', 'rq:job:' .. id) == 0) then return 2 end
  origins[n] = origin
  another[n] = ARGV[i + 7] ~= '' and h[3] ~= ARGV[i + 7]
  if limits[n] then enter(limits[n], execution, worker) end
  add(members, 'ZADD', 'rq:wip:', queue, score, composite and (id .. ':' .. execution) or id)
  return 1
end

local n = 0
for i = first_claim, first_limit - 1, 8 do
  n = n + 1
  result[n] = alone(take, i, n)
end
send(members)

local function start_execution(id, worker, execution)
  local key = 'rq:execution:' .. id .. ':' .. execution
  call('HSET', key, 'id', execution, 'created_at', float, 'last_heartbeat', float, 'job_id', id, 'worker_name', worker)
  call('EXPIRE', key, ttl)
  key = 'rq:executions:' .. id
  call('ZADD', key, index_score, execution)
  call('EXPIRE', key, index_ttl)
end

local function occupy_worker(worker, id, record, new)
  local key = 'rq:worker:' .. worker
  -- Four new fields: the record had expired. An error: something else has its name, which is this process's alone.
  local n = not new and redis.pcall('HSET', key, 'state', 'busy', 'current_job', id, 'current_job_working_time', '0', 'last_heartbeat', ts)
  if new or n == 4 or type(n) == 'table' then
    call('DEL', key)
    write_worker(key, first_record + record * 7, 'last_heartbeat', ts, 'state', 'busy', 'current_job', id, 'current_job_working_time', '0')
    call('EXPIRE', key, ttl)
  end
end

local stale = { 'DEL' }

local function start(i, n)
  local queue, id, worker, execution, record, register, from = unpack(ARGV, i, i + 6)
  local job = 'rq:job:' .. id
  call('HSET', job, 'status', 'started', 'started_at', ts, 'last_heartbeat', ts, 'worker_name', worker)
  if origins[n] ~= queue then call('HSET', job, 'origin', queue) end
  call('PERSIST', job)
  if from == 'failed' then
    call('HSET', job, 'ended_at', '')
    call('HDEL', job, 'exc_info')
    call('PERSIST', job .. ':dependents')
    call('PERSIST', 'rq:job::' .. id .. ':dependencies')
  end
  if composite then start_execution(id, worker, execution) end
  occupy_worker(worker, id, record, register == '1')
  if intermediate[queue] then call('LREM', 'rq:queue:' .. queue .. ':intermediate', 1, id) end
  if markers then stale[#stale + 1] = 'rq:queue:' .. queue .. ':intermediate:first_seen:' .. id end
  return another[n] and 6 or 1
end

n = 0
for i = first_claim, first_limit - 1, 8 do
  n = n + 1
  if result[n] == 1 then result[n] = alone(start, i, n) end
end
if #stale > 1 then call(unpack(stale)) end
return result

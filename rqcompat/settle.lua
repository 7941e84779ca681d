-- Ends a batch of executions, each only if the job still belongs to it.
--
-- KEYS  none
-- ARGV  1 flags, see job_end.lua    2 now, whole seconds    3 now, text    4 result_ttl of jobs without one
--       then per outcome 12 values and its extra fields:
--       kind: "finished", "failed", "failed!" (ignore retries_left), "stopped" or "back" (to the queue's head)
--       queue, id, worker, execution
--       started_at, ended_at as text; the same as float seconds
--       seconds worked
--       return value (base64), or exception text (base64 of zlib)
--       2 times the number of extra fields, then name and value of each
-- Reply one number per outcome: 1 settled, 0 not the owner, 2 the job was deleted, 3 canceled meanwhile
--
-- Stands for rq/worker.py handle_job_success and handle_job_failure, rq/repeat.py Repeat.schedule, and for
-- what the parent does afterwards (state idle). "back" has no RQ equivalent: the job is queued again, first in
-- line, as if it had never been claimed.
-- The fence: the hash says status "started" with this worker_name and started_at. Whoever takes a job away (a
-- rescuer, a cleaner, requeue, cancel) changes one of them. Differences from RQ: only fields that change are
-- written; a job that was canceled while it ran stays canceled; a repeat that waits in rq:scheduled has status
-- "scheduled" in every version.
local flags, now, ts = ARGV[1], tonumber(ARGV[2]), ARGV[3]
--@include job_end.lua

local wip, finished, executions = {}, {}, { 'DEL' }
-- Scores by ttl, as text: converting a number for a command costs as much as a small command.
local scores = {}

local function add(map, prefix, command, queue, a, b)
  local m = map[queue]
  if not m then
    m = { command, prefix .. queue }
    map[queue] = m
  end
  m[#m + 1] = a
  if b then m[#m + 1] = b end
end

-- end_execution forgets what the claim wrote about this execution. The owner's end removes the whole index of the
-- job's executions: others in it are of dead workers, and their entries would make job.delete raise in Python.
local function end_execution(queue, id, x, owner)
  if composite then
    executions[#executions + 1] = 'rq:execution:' .. id .. ':' .. x
    if owner then
      executions[#executions + 1] = 'rq:executions:' .. id
    else
      call('ZREM', 'rq:executions:' .. id, x)
    end
    add(wip, 'rq:wip:', 'ZREM', queue, id .. ':' .. x)
  else
    add(wip, 'rq:wip:', 'ZREM', queue, id)
  end
end

-- idle_worker frees the worker's record if it still shows this job, and counts the outcome in it.
local function idle_worker(worker, id, counter, seconds)
  local key = 'rq:worker:' .. worker
  local w = call('HMGET', key, 'current_job', counter or 'state', 'total_working_time')
  if w[1] ~= id then return end
  if not counter then
    call('HSET', key, 'state', 'idle', 'current_job_working_time', '0', 'last_heartbeat', ts)
  elseif not seconds then
    call('HSET', key, 'state', 'idle', 'current_job_working_time', '0', 'last_heartbeat', ts,
      counter, (tonumber(w[2] or '') or 0) + 1)
  else
    call('HSET', key, 'state', 'idle', 'current_job_working_time', '0', 'last_heartbeat', ts,
      counter, (tonumber(w[2] or '') or 0) + 1,
      'total_working_time', string.format('%.6f', (tonumber(w[3] or '') or 0) + seconds))
  end
  call('HDEL', key, 'current_job')
end

-- repeat_job queues or schedules a successful job once more. The intervals are consumed from the end, as RQ
-- does.
local function repeat_job(queue, id, left)
  local job = 'rq:job:' .. id
  local h = call('HMGET', job, 'repeat_intervals', 'ttl')
  local intervals = json_list(h[1])
  local interval = tonumber(intervals[left] or intervals[#intervals] or 0) or 0
  if interval > 0 then
    call('HSET', job, 'repeats_left', left - 1, 'status', 'scheduled')
    reschedule_job(queue, id, interval)
  else
    call('HSET', job, 'repeats_left', left - 1, 'status', 'queued', 'enqueued_at', ts)
    push_job(queue, id, 'RPUSH', h[2])
  end
end

-- finish writes a success. h holds result_ttl, repeats_left and dependency_ids from its fourth value on.
local function finish(i, h, has_dependents)
  local queue, id, ended = ARGV[i + 1], ARGV[i + 2], ARGV[i + 6]
  local job = 'rq:job:' .. id
  local ttl_text = h[4] and h[4] ~= '' and h[4] or ARGV[4]
  local ttl = tonumber(ttl_text)
  local left = repeats and tonumber(h[5] or '') or 0
  if ttl ~= 0 then
    call('HSET', job, 'status', 'finished', 'ended_at', ended, 'last_heartbeat', ts)
    record_result(id, '1', 'return_value', ARGV[i + 10], ARGV[i + 3], ARGV[i + 4], ARGV[i + 7], ARGV[i + 8], ttl_text)
    local score = scores[ttl_text]
    if not score then
      score = ttl > 0 and tostring(now + ttl) or (ttl == -1 and '+inf' or ttl_text)
      scores[ttl_text] = score
    end
    add(finished, 'rq:finished:', 'ZADD', queue, score, id)
  end
  if has_dependents then release_dependents(id, 'finished', stopped_releases, now, ts) end
  if left > 0 then
    repeat_job(queue, id, left)
  elseif ttl == 0 then
    delete_job(id)
  elseif ttl > 0 then
    call('EXPIRE', job, ttl_text)
    if has_dependents then call('EXPIRE', job .. ':dependents', ttl_text) end
    if h[6] then call('EXPIRE', 'rq:job::' .. id .. ':dependencies', ttl_text) end
  end
end

local function fail(i, kind)
  local queue, id, ended = ARGV[i + 1], ARGV[i + 2], ARGV[i + 6]
  local h = call('HMGET', 'rq:job:' .. id, 'retries_left', 'retry_intervals', 'enqueue_at_front_on_retry', 'ttl', 'failure_ttl')
  if kind == 'failed' and (tonumber(h[1] or '') or 0) > 0 then
    retry_job(queue, id, ended, h)
  else
    fail_job(queue, id, kind == 'stopped' and 'stopped' or 'failed', ARGV[i + 10], ARGV[i + 3], ARGV[i + 4], ended,
      ARGV[i + 7], ARGV[i + 8], h[5])
  end
end

local function give_back(i)
  local queue, id = ARGV[i + 1], ARGV[i + 2]
  local ttl = call('HGET', 'rq:job:' .. id, 'ttl')
  call('HSET', 'rq:job:' .. id, 'status', 'queued', 'started_at', '', 'ended_at', '', 'last_heartbeat', '', 'worker_name', '')
  push_job(queue, id, 'LPUSH', ttl)
end

local starts, dependents = {}, { 'EXISTS' }
local i = 5
while i <= #ARGV do
  starts[#starts + 1] = i
  if ARGV[i] ~= 'back' then dependents[#dependents + 1] = 'rq:job:' .. ARGV[i + 2] .. ':dependents' end
  i = i + 12 + ARGV[i + 11]
end
-- One question for the whole batch: almost no job has dependents.
local any_dependents = #dependents > 1 and call(unpack(dependents)) > 0

local result = {}

local function settle(n)
  local i = starts[n]
  local kind, queue, id, worker = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local job = 'rq:job:' .. id
  local h = call('HMGET', job, 'status', 'worker_name', 'started_at', 'result_ttl', 'repeats_left', 'dependency_ids', 'bridge_kills')
  if h[2] ~= worker or h[3] ~= ARGV[i + 5] or (h[1] ~= 'started' and h[1] ~= 'canceled') then
    local deleted = not h[1] and call('EXISTS', job) == 0
    -- Only what this execution can have left behind goes: with bare members the entry in the started registry
    -- may be the new owner's, and the same worker may run the job again.
    if composite or deleted then end_execution(queue, id, ARGV[i + 4], deleted) end
    if h[2] ~= worker or h[1] ~= 'started' then idle_worker(worker, id, nil) end
    result[n] = deleted and 2 or 0
    return
  end
  end_execution(queue, id, ARGV[i + 4], true)
  for f = i + 12, i + 11 + ARGV[i + 11], 2 do
    call('HSET', job, ARGV[f], ARGV[f + 1])
  end
  if h[7] and kind ~= 'back' then call('HDEL', job, 'bridge_kills') end
  if h[1] == 'canceled' then
    call('HSET', job, 'ended_at', ARGV[i + 6])
    idle_worker(worker, id, nil)
    result[n] = 3
    return
  end
  result[n] = 1
  if kind == 'finished' then
    finish(i, h, any_dependents)
    idle_worker(worker, id, 'successful_job_count', ARGV[i + 9])
  elseif kind == 'back' then
    give_back(i)
    idle_worker(worker, id, nil)
  else
    fail(i, kind)
    idle_worker(worker, id, 'failed_job_count', kind ~= 'stopped' and ARGV[i + 9])
  end
end

for n = 1, #starts do
  if ARGV[starts[n]] ~= 'back' then settle(n) end
end
-- Backwards, so that jobs given back stand in the queue in the order of the batch.
for n = #starts, 1, -1 do
  if ARGV[starts[n]] == 'back' then settle(n) end
end

for _, m in pairs(wip) do call(unpack(m)) end
for _, m in pairs(finished) do call(unpack(m)) end
if #executions > 1 then call(unpack(executions)) end
return result

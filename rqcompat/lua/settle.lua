-- Ends a batch of executions, each only if the job still belongs to it.
--
-- KEYS  none
-- ARGV  1 flags, see job_end.lua    2 now, whole seconds    3 now, text    4 result_ttl of jobs without one
--       5 number of outcomes    6 where the limits start
--       then per outcome 12 values:
--       kind: "finished", "failed", "failed!" (ignore retries_left), "failed <seconds> <limit>" (without retries_left
--       scheduled again, limit times), "retry" (scheduled), "stopped" or "back" (to the queue's head)
--       queue, id, worker, execution
--       started_at, ended_at as text; the same as float seconds
--       seconds worked
--       return value (base64), or exception text (base64 of zlib), or when the retry is due, whole seconds
--       where the job stands that runs its callback in Python, see hand_over.lua; 0 for none
--       then these jobs, and per limit that doesn't count an execution any more, whatever becomes of its outcome, 2 values: key, and what it counts
-- Reply one number per outcome: 1 settled, 0 not the owner, 2 the job was deleted, 3 canceled meanwhile, 4 settled and its
--       callback handed over; or the error that this one met. Then nothing of it is written, but for what the dependents' release met: the rest of it is.
--
-- Stands for rq/worker.py handle_job_success and handle_job_failure, rq/repeat.py Repeat.schedule, and for what the
-- parent does afterwards (state idle). "retry" is rq/job.py Job.retry with a time of the caller's. "back" has no RQ equivalent: the job is queued again, first in line, as if it
-- had never been claimed. The fence: the hash says status "started" with this worker_name and started_at. Whoever takes
-- a job away (a rescuer, a cleaner, requeue, cancel) changes one of them. Differences from RQ: only fields that change
-- are written; a job canceled while it ran stays canceled; a repeat in rq:scheduled has that status in every version.
-- What is scheduled without retries_left is counted in the field bridge_retries, which ends with the job.
local flags, now, ts, default_ttl = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local first_outcome, values = 7, 12
local count, limits = tonumber(ARGV[5]), tonumber(ARGV[6])
local after = first_outcome + count * values
-- The outcome at work. settle sets these for the functions below.
local kind, queue, id, worker, execution, started, ended, from, to, seconds, payload, callback
local job, handed
local call = redis.call
--@include job_end.lua
--@include hand_over.lua
--@include grouped.lua

local wip, finished, executions = {}, {}, { 'DEL' }
-- Scores by ttl, as strings: converting a number for a command costs as much as a small command.
local scores = {}

-- end_execution forgets what the claim wrote about this execution. The owner's end removes the whole index of the
-- job's executions: others in it are of dead workers, and their entries would make job.delete raise in Python.
local function end_execution(owner)
  if not composite then
    add(wip, 'ZREM', 'rq:wip:', queue, id)
    return
  end
  executions[#executions + 1] = 'rq:execution:' .. id .. ':' .. execution
  if owner then
    executions[#executions + 1] = 'rq:executions:' .. id
  else
    call('ZREM', 'rq:executions:' .. id, execution)
  end
  add(wip, 'ZREM', 'rq:wip:', queue, id .. ':' .. execution)
end

-- read_worker reads what idle_worker needs of the worker's record, before anything is written.
local function read_worker(counter)
  return call('HMGET', 'rq:worker:' .. worker, 'current_job', counter or 'state', 'total_working_time')
end

-- idle_worker frees the worker's record if it still shows this job, and counts the outcome in it. w is what was read.
local function idle_worker(w, counter, worked)
  local key = 'rq:worker:' .. worker
  if w[1] ~= id then return end
  if not counter then
    call('HSET', key, 'state', 'idle', 'current_job_working_time', '0', 'last_heartbeat', ts)
  elseif not worked then
    call('HSET', key, 'state', 'idle', 'current_job_working_time', '0', 'last_heartbeat', ts,
      counter, (tonumber(w[2] or '') or 0) + 1)
  else
    call('HSET', key, 'state', 'idle', 'current_job_working_time', '0', 'last_heartbeat', ts,
      counter, (tonumber(w[2] or '') or 0) + 1,
      'total_working_time', string.format('%.6f', (tonumber(w[3] or '') or 0) + worked))
  end
  call('HDEL', key, 'current_job')
end

-- call_back hands the callback that the caller named for this end to Python.
local function call_back(status)
  if callback > 0 then handed = hand_over(callback, id, status, ended, payload) end
end

-- repeat_job queues or schedules a successful job once more. The intervals are consumed from the end, as RQ does.
local function repeat_job(left)
  local h = call('HMGET', job, 'repeat_intervals', 'ttl')
  local intervals, ttl = json_list(h[1]), h[2]
  local interval = tonumber(intervals[left] or intervals[#intervals] or 0) or 0
  if interval > 0 then
    call('HSET', job, 'repeats_left', left - 1, 'status', 'scheduled')
    reschedule_job(queue, id, interval)
  else
    call('HSET', job, 'repeats_left', left - 1, 'status', 'queued', 'enqueued_at', ts)
    push_job(queue, id, 'RPUSH', ttl)
  end
end

-- finish writes a success. What may fail comes first; the error of the dependents' release is returned.
local function finish(result_ttl, repeats_left, dependency_ids, has_dependents)
  local ttl_text = ttl_of(result_ttl) or default_ttl
  local ttl = tonumber(ttl_text)
  local left = repeats and tonumber(repeats_left or '') or 0
  if left > 0 then may_wait(queue) end
  if ttl ~= 0 then
    record_result(id, '1', 'return_value', payload, worker, execution, from, to, ttl_text)
    local score = scores[ttl_text]
    if not score then
      score = ttl > 0 and tostring(now + ttl) or (ttl == -1 and '+inf' or ttl_text)
      scores[ttl_text] = score
    end
    call('HSET', job, 'status', 'finished', 'ended_at', ended, 'last_heartbeat', ts)
    add(finished, 'ZADD', 'rq:finished:', queue, score, id)
  end
  local failed = has_dependents and alone(release_dependents, id, 'finished', stopped_releases, ts) or nil
  call_back('finished')
  if left > 0 then
    repeat_job(left)
  elseif ttl == 0 then
    delete_job(id)
  elseif ttl > 0 then
    call('EXPIRE', job, ttl_text)
    if has_dependents then call('EXPIRE', job .. ':dependents', ttl_text) end
    if dependency_ids then call('EXPIRE', 'rq:job::' .. id .. ':dependencies', ttl_text) end
  end
  return failed
end

-- await_retry schedules a failed job again in a while. As with RQ's own retries no result is written, and dependents go
-- on waiting. What a queued job's ttl would delete must outlive the pause.
local function await_retry(pause)
  may_wait(queue)
  call('HSET', job, 'status', 'scheduled', 'ended_at', ended, 'last_heartbeat', ts)
  persist_job(id)
  reschedule_job(queue, id, pause)
end

-- fail writes a failure, and returns the error of the dependents' release. retries is how often it was scheduled again.
local function fail(retries)
  local h = call('HMGET', job, 'retries_left', 'retry_intervals', 'enqueue_at_front_on_retry', 'ttl', 'failure_ttl')
  local left = tonumber(h[1] or '')
  local pause, limit = kind:match('^failed (%d+) (%d+)$')
  if (pause or kind == 'failed') and left and left > 0 then
    may_wait(queue)
    retry_job(queue, id, ended, h)
  elseif pause and not left and retries < tonumber(limit) then
    await_retry(pause)
    return nil, retries + 1
  else
    local status = kind == 'stopped' and 'stopped' or 'failed'
    call_back(status)
    return fail_job(queue, id, status, payload, worker, execution, ended, from, to, h[5])
  end
end

local function give_back()
  may_wait(queue)
  local ttl = call('HGET', job, 'ttl')
  call('HSET', job, 'status', 'queued', 'started_at', '', 'ended_at', '', 'last_heartbeat', '', 'worker_name', '')
  push_job(queue, id, 'LPUSH', ttl)
end

local dependents = { 'EXISTS' }
for i = first_outcome, after - 1, values do
  local kind, id = ARGV[i], ARGV[i + 2]
  if kind ~= 'back' then dependents[#dependents + 1] = 'rq:job:' .. id .. ':dependents' end
end
-- One question for the whole batch: almost no job has dependents.
local any_dependents = not bare and #dependents > 1 and call(unpack(dependents)) > 0

-- settle ends the execution whose values start at ARGV[i] and returns its part of the reply.
local function settle(i)
  kind, queue, id, worker, execution, started, ended, from, to, seconds, payload, callback = unpack(ARGV, i, i + values - 1)
  callback, handed = tonumber(callback), false
  job = 'rq:job:' .. id
  local h = call('HMGET', job, 'status', 'worker_name', 'started_at', 'result_ttl', 'repeats_left', 'dependency_ids',
    'bridge_kills', 'bridge_retries')
  local status, owner, owner_started, kills, retries = h[1], h[2], h[3], h[7], h[8]
  if owner ~= worker or owner_started ~= started or (status ~= 'started' and status ~= 'canceled') then
    local deleted = not status and call('EXISTS', job) == 0
    local w = read_worker()
    -- Only what this execution can have left behind goes: with bare members the entry in the started registry
    -- may be the new owner's, and the same worker may run the job again.
    if composite or deleted then end_execution(deleted) end
    if owner ~= worker or status ~= 'started' then idle_worker(w) end
    return deleted and 2 or 0
  end
  local counter = status == 'started' and (kind == 'finished' and 'successful_job_count' or kind ~= 'back' and 'failed_job_count') or nil
  local w = read_worker(counter)
  if any_dependents and counter then holds(job .. ':dependents', 'set') end
  if callback > 0 and not bare then
    may_hand_over(callback)
  elseif callback > 0 and not pcall(may_hand_over, callback) then
    callback = 0
  end
  local failed, again
  if status == 'canceled' then
    call('HSET', job, 'ended_at', ended)
    call_back(status)
  elseif kind == 'finished' then
    failed = finish(h[4], h[5], h[6], any_dependents)
  elseif kind == 'back' then
    give_back()
  elseif kind == 'retry' then
    await_retry(payload - now)
    again = retries -- it spends none
  else
    failed, again = fail(tonumber(retries or '') or 0)
  end
  -- From here on nothing fails.
  end_execution(true)
  if (kills or retries) and kind ~= 'back' then call('HDEL', job, 'bridge_kills', 'bridge_beside', 'bridge_retries') end
  if again then call('HSET', job, 'bridge_retries', again) end
  idle_worker(w, counter, kind ~= 'stopped' and seconds)
  return failed or handed and 4 or status == 'canceled' and 3 or 1
end

local result = {}
for n = 1, count do
  local i = first_outcome + (n - 1) * values
  if ARGV[i] ~= 'back' then result[n] = alone(settle, i) end
end
-- Backwards, so that jobs given back stand in the queue in the order of the batch.
for n = count, 1, -1 do
  local i = first_outcome + (n - 1) * values
  if ARGV[i] == 'back' then result[n] = alone(settle, i) end
end

-- What a whole queue lacks, its jobs are told.
for _, failed in pairs({ send(wip) or {}, send(finished) or {} }) do
  for n = 1, count do
    local queue = ARGV[first_outcome + (n - 1) * values + 1]
    result[n] = failed[queue] or result[n]
  end
end
if #executions > 1 then call(unpack(executions)) end
for i = limits, #ARGV, 2 do redis.pcall('ZREM', 'rq:limit:' .. ARGV[i], ARGV[i + 1]) end
return result

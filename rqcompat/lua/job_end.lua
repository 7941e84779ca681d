-- Functions for scripts that take a job out of the running state: --@include job_end.lua
--
-- The including script first defines these locals:
--   now, ts   whole seconds; text timestamp
--   flags     four characters "0" or "1" (Dialect.endFlags): composite wip members, worker_name in results,
--             execution fields in results, repeats exist; a fifth, "1": leave out the result and the dependents,
--             whose keys hold something else
--
--@include dependents.lua
--@include alone.lua

local function flag(n) return flags:sub(n, n) == '1' end
local composite, result_worker, result_execution, repeats, bare = flag(1), flag(2), flag(3), flag(4), flag(5)
-- Since 2.8, as execution fields are.
local stopped_releases, retry_front = not result_execution, result_execution

-- may_wait raises if a job of the queue could not be put where jobs wait. Asked before anything is written.
local function may_wait(queue)
  holds('rq:queues', 'set')
  holds('rq:queue:' .. queue, 'list')
  holds('rq:scheduled:' .. queue, 'zset')
end

-- without_odd leaves out the result and the dependents of a job if something else stands in the place of either.
local function without_odd(id)
  bare = bare or not pcall(holds, 'rq:results:' .. id, 'stream') or not pcall(holds, 'rq:job:' .. id .. ':dependents', 'set')
end

-- drop_execution removes the records of an execution that somebody else than its owner ends.
local function drop_execution(id, execution)
  if not composite then return end
  call('DEL', 'rq:execution:' .. id .. ':' .. execution)
  call('ZREM', 'rq:executions:' .. id, execution)
end

-- delete_job removes a job whose ttl for this outcome is 0: rq/job.py Job.delete inside a completion.
local function delete_job(id)
  local job = 'rq:job:' .. id
  if composite then
    local group = call('HGET', job, 'group_id')
    if group and group ~= '' then redis.pcall('SREM', 'rq:group:' .. group, id) end -- whatever has that name
    call('DEL', 'rq:executions:' .. id)
  end
  call('UNLINK', job, job .. ':dependents', 'rq:job::' .. id .. ':dependencies')
end

-- record_result appends to the result stream: rq/results.py Result.save. ttl is a number or
-- its text, -1 is no expiry. from and to are float seconds.
local function record_result(id, kind, field, value, worker, execution, from, to, ttl)
  if bare then return end
  local key = 'rq:results:' .. id
  local a = { 'XADD', key, 'MAXLEN', '~', '10', '*', 'type', kind }
  local n = 8
  if result_worker then
    a[9], a[10] = 'worker_name', worker
    n = 10
  end
  if value ~= '' then
    a[n + 1], a[n + 2] = field, value
    n = n + 2
  end
  if result_execution and execution ~= '' then
    a[n + 1], a[n + 2], a[n + 3], a[n + 4], a[n + 5], a[n + 6] =
      'execution_id', execution, 'execution_started_at', from, 'execution_ended_at', to
  end
  call(unpack(a))
  if ttl == -1 or ttl == '-1' then
    call('PERSIST', key)
  else
    call('EXPIRE', key, ttl)
  end
end

-- reschedule_job puts a job whose hash says "scheduled" into rq:scheduled: rq/queue.py Queue.schedule_job,
-- without starting its ttl (2.8 and later do, and so delete jobs before they are due).
local function reschedule_job(queue, id, interval)
  call('SADD', 'rq:queues', 'rq:queue:' .. queue)
  call('ZADD', 'rq:scheduled:' .. queue, now + interval, id)
end

local function json_list(text)
  local ok, list = pcall(cjson.decode, text or '')
  return ok and type(list) == 'table' and list or {}
end

-- retry_job spends one of the job's retries: rq/job.py Job.retry. h holds retries_left, retry_intervals,
-- enqueue_at_front_on_retry and ttl. No result entry is written, as RQ writes none.
local function retry_job(queue, id, ended, h)
  local job = 'rq:job:' .. id
  local left, front, ttl = tonumber(h[1]), retry_front and h[3] == '1', h[4]
  local intervals = json_list(h[2])
  local interval = tonumber(intervals[math.max(#intervals - left, 0) + 1] or 0) or 0
  if interval > 0 then
    call('HSET', job, 'status', 'scheduled', 'retries_left', left - 1, 'ended_at', ended, 'last_heartbeat', ts)
    reschedule_job(queue, id, interval)
    return
  end
  call('HSET', job, 'status', 'queued', 'retries_left', left - 1, 'ended_at', ended, 'last_heartbeat', ts, 'enqueued_at', ts)
  push_job(queue, id, front and 'LPUSH' or 'RPUSH', ttl)
end

-- fail_job ends a job as failed or stopped: rq/job.py Job._handle_failure, rq/registry.py
-- FailedJobRegistry.add and the release of its dependents. ttl is the failure_ttl field. Two differences: the
-- result stream of a job without failure_ttl expires with the job (RQ leaves it forever), and with
-- failure_ttl 0 no member is added to rq:failed for the job that was just deleted. What may fail comes first; the error of
-- the dependents' release, which then says nothing of this job, is returned.
local function fail_job(queue, id, status, exc, worker, execution, ended, from, to, ttl)
  ttl = tonumber(ttl_of(ttl) or 31536000)
  if ttl ~= 0 then
    record_result(id, '2', 'exc_string', exc, worker, execution, from, to, ttl)
    call('ZADD', 'rq:failed:' .. queue, ttl < 0 and ttl or now + ttl, id)
  end
  call('HSET', 'rq:job:' .. id, 'status', status, 'ended_at', ended)
  if ttl > 0 then expire_job(id, ttl) end
  local failed = not bare and alone(release_dependents, id, status, stopped_releases, ts) or nil
  if ttl == 0 then delete_job(id) end
  return failed
end

-- Functions for scripts that end jobs: --@include hand_over.lua
--
-- hand_over(at, id, status, ended, payload) enqueues the job that stands in ARGV from at on, which runs a callback of the job
-- that ends: its id, its queue, how many values follow, and names and values of its hash. Beside them the hash gets what the job
-- was at its end, as "of <name>", and its payload: a return value or exception text as results have them. False if this
-- was handed over before; then nothing is done. may_hand_over(at) raises what would raise then; asked before anything is written.
--
-- Stands for nothing in RQ, whose workers call callbacks themselves.

local function may_hand_over(at)
  holds('rq:queues', 'set')
  holds('rq:queue:' .. ARGV[at + 1], 'list')
end

local function hand_over(at, id, status, ended, payload)
  local new, queue, values = unpack(ARGV, at, at + 2)
  local job, to = 'rq:job:' .. id, 'rq:job:' .. new
  if call('HGET', job, 'bridge_handed') == new or call('EXISTS', to) == 1 then return false end
  local fields = { 'HSET', to, 'status', 'queued', 'enqueued_at', ts, 'bridge_of', id, 'bridge_payload', payload,
    'of status', status, 'of ended_at', ended }
  -- The fields that rq/job.py Job.restore reads.
  local remembered = { 'created_at', 'data', 'origin', 'description', 'enqueued_at', 'started_at', 'last_heartbeat', 'worker_name',
    'timeout', 'result_ttl', 'failure_ttl', 'ttl', 'meta', 'success_callback_name', 'failure_callback_name', 'stopped_callback_name',
    'success_callback_timeout', 'failure_callback_timeout', 'stopped_callback_timeout', 'retries_left', 'retry_intervals',
    'number_of_retries', 'enqueue_at_front_on_retry', 'dependency_ids', 'dependency_id', 'allow_dependency_failures',
    'enqueue_at_front', 'group_id', 'repeats_left', 'repeat_intervals', 'webhooks' }
  local was = call('HMGET', job, unpack(remembered))
  for i, name in ipairs(remembered) do
    if was[i] then
      fields[#fields + 1], fields[#fields + 2] = 'of ' .. name, was[i]
    end
  end
  call('HSET', to, unpack(ARGV, at + 3, at + 2 + values))
  call(unpack(fields))
  call('HSET', job, 'bridge_handed', new)
  push_job(queue, new, 'RPUSH')
  return true
end

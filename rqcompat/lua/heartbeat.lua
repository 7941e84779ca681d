-- Marks a batch of workers as alive.
--
-- KEYS  none
-- ARGV  1 now, text   2 TTL of the records
--       3 number of worker records n; then n times 7 values, see worker_record.lua
--       then per worker 3 values: name, number of its record, current job ("" none)
-- Reply one number per worker: 0 alive, 1 its record had vanished and was written again; or the error that this one met
--
-- Stands for rq/worker.py heartbeat (HSET last_heartbeat, EXPIRE) and, when the record has expired,
-- register_birth: an HSET alone would leave a record without birth, pid, queues and TTL.
local ts, ttl, records = ARGV[1], ARGV[2], ARGV[3]
local first_record = 4
local call = redis.call
--@include alone.lua
--@include worker_record.lua

local function heartbeat(name, record, job)
  local key = 'rq:worker:' .. name
  local again = call('HSET', key, 'last_heartbeat', ts)
  if again == 1 then
    local at = first_record + record * 7
    if job == '' then
      write_worker(key, at, 'state', 'idle')
    else
      write_worker(key, at, 'state', 'busy', 'current_job', job)
    end
  end
  call('EXPIRE', key, ttl)
  return again
end

local result = {}
for i = first_record + records * 7, #ARGV, 3 do
  result[#result + 1] = alone(heartbeat, ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
return result

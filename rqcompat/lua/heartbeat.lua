-- Marks a batch of workers as alive.
--
-- KEYS  none
-- ARGV  1 now, text   2 TTL of the records
--       3 number of worker records n; then n times 7 values, see worker_record.lua
--       then per worker 3 values: name, number of its record, current job ("" none)
-- Reply how many records had vanished and were written again
--
-- Stands for rq/worker.py heartbeat (HSET last_heartbeat, EXPIRE) and, when the record has expired,
-- register_birth: an HSET alone would leave a record without birth, pid, queues and TTL.
local ts, ttl, records = ARGV[1], ARGV[2], ARGV[3]
local first_record = 4
local call = redis.call
--@include worker_record.lua

local again = 0
for i = first_record + records * 7, #ARGV, 3 do
  local name, record, job = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = 'rq:worker:' .. name
  if call('HSET', key, 'last_heartbeat', ts) == 1 then
    again = again + 1
    local at = first_record + record * 7
    if job == '' then
      write_worker(key, at, 'state', 'idle')
    else
      write_worker(key, at, 'state', 'busy', 'current_job', job)
    end
  end
  call('EXPIRE', key, ttl)
end
return again

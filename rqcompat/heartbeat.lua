-- Marks a batch of workers as alive.
--
-- KEYS  none
-- ARGV  1 now, text   2 TTL of the records
--       3 number of worker records n; then n times 7 values, as in claim.lua
--       then per worker 4 values: name, number of its record, state, current job ("" none)
-- Reply how many records had vanished and were written again
--
-- Stands for rq/worker.py heartbeat (HSET last_heartbeat, EXPIRE) and, when the record has expired,
-- register_birth: an HSET alone would leave a record without birth, pid, queues and TTL.
local ts, ttl = ARGV[1], ARGV[2]
local call = redis.call
local again = 0
for i = 4 + ARGV[3] * 7, #ARGV, 4 do
  local key = 'rq:worker:' .. ARGV[i]
  if call('HSET', key, 'last_heartbeat', ts) == 1 then
    again = again + 1
    local base = 4 + ARGV[i + 1] * 7
    call('HSET', key, 'birth', ARGV[base], 'queues', ARGV[base + 1], 'pid', ARGV[base + 2], 'hostname', ARGV[base + 3],
      'ip_address', ARGV[base + 4], 'version', ARGV[base + 5], 'python_version', ARGV[base + 6], 'state', ARGV[i + 2])
    if ARGV[i + 3] ~= '' then
      call('HSET', key, 'current_job', ARGV[i + 3])
    end
    call('SADD', 'rq:workers', key)
    for queue in string.gmatch(ARGV[base + 1], '[^,]+') do
      call('SADD', 'rq:workers:' .. queue, key)
    end
  end
  call('EXPIRE', key, ttl)
end
return again

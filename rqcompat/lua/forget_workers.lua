-- Takes workers whose record has expired off the lists.
--
-- KEYS  1 rq:workers:<q>
-- ARGV  worker keys
-- Reply how many were removed
--
-- Stands for rq/worker_registration.py clean_worker_registry: EXISTS each, TX{ SREM, SREM }.
local of_queue = KEYS[1]
local call = redis.call

local gone = 0
for _, worker in ipairs(ARGV) do
  if call('EXISTS', worker) == 0 then
    call('SREM', of_queue, worker)
    call('SREM', 'rq:workers', worker)
    gone = gone + 1
  end
end
return gone

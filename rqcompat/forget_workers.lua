-- Takes workers whose record has expired off the lists.
--
-- KEYS  1 rq:workers:<q>
-- ARGV  worker keys
-- Reply how many were removed
--
-- Stands for rq/worker_registration.py clean_worker_registry: EXISTS each, TX{ SREM, SREM }.
local gone = 0
for i = 1, #ARGV do
  if redis.call('EXISTS', ARGV[i]) == 0 then
    redis.call('SREM', KEYS[1], ARGV[i])
    redis.call('SREM', 'rq:workers', ARGV[i])
    gone = gone + 1
  end
end
return gone

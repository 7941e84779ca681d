-- Extends a lock if it is still the caller's. RQ extends it whoever holds it.
--
-- KEYS  1 the lock
-- ARGV  1 the value the caller set   2 TTL in seconds
-- Reply 1 extended, 0 not the caller's any more
local lock, value, ttl = KEYS[1], ARGV[1], ARGV[2]
if redis.call('GET', lock) ~= value then return 0 end
return redis.call('EXPIRE', lock, ttl)

-- Deletes a lock if it is still the caller's. RQ deletes it whoever holds it.
--
-- KEYS  1 the lock
-- ARGV  1 the value the caller set
-- Reply 1 deleted, 0 not the caller's any more
local lock, value = KEYS[1], ARGV[1]
if redis.call('GET', lock) ~= value then return 0 end
return redis.call('DEL', lock)

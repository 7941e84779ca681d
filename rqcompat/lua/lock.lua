-- Takes a lock that nobody has, or that somebody has had for so long that he is done with what it is for.
--
-- KEYS  1 the lock
-- ARGV  1 the caller's value    2 for how long, milliseconds    3 after how many of them another's counts as forgotten; the
--       same as 2 for never
-- Reply 1 it is the caller's, 0 it is another's
--
-- Stands for rq/queue.py Queue.acquire_maintenance_lock, SET … EX 899 NX, which knows no third argument.
local lock, value, ttl, forgotten = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local left = redis.call('PTTL', lock)
if left == -1 or left > ttl - forgotten then return 0 end
redis.call('SET', lock, value, 'PX', ttl)
return 1

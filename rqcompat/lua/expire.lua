-- Removes entries of a registry whose time is up, the oldest first.
--
-- KEYS  1 the registry
-- ARGV  1 now, whole seconds    2 most to remove, at most 1000
-- Reply how many were removed
--
-- Stands for a part of ZREMRANGEBYSCORE 0 now in rq/registry.py BaseRegistry.cleanup, which removes all in one step.
local registry, now, most = KEYS[1], ARGV[1], ARGV[2]
local ids = redis.call('ZRANGEBYSCORE', registry, 0, now, 'LIMIT', 0, most)
if #ids > 0 then redis.call('ZREM', registry, unpack(ids)) end
return #ids

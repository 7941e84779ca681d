-- Says that waiters are alive, and forgets those that have been silent for a minute.
--
-- KEYS  1 rq:first:<q>:waiters
-- ARGV  client ids
-- Reply 1
--
-- Stands for nothing in RQ.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, id in ipairs(ARGV) do redis.call('ZADD', KEYS[1], now, id) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - 60000)
return redis.call('PEXPIRE', KEYS[1], 60000)

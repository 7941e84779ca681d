-- Takes places in a sliding window: at most so many within a time, whoever asks.
--
-- KEYS  1 the window: ZSET of what took a place, by microseconds
-- ARGV  1 length of the window, microseconds    2 how many places it has    then what asks for one each
-- Reply for each "1" or "0"; then how many microseconds from now the next place is free, 0 if one is
--
-- What has a place keeps it. Python's RQ has nothing like it.
local key, length, places = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local call = redis.call

local t = call('TIME')
local now = t[1] * 1000000 + t[2]
local from = string.format('(%.0f', now - length)
-- In steps: places may be many. What is left is not counted.
local over = call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now - length), 'LIMIT', 0, 1000)
if #over > 0 then call('ZREM', key, unpack(over)) end

local used = call('ZCOUNT', key, from, '+inf')
local reply = {}
for i = 3, #ARGV do
  local at = call('ZSCORE', key, ARGV[i])
  if at and tonumber(at) > now - length then
    reply[#reply + 1] = '1'
  elseif used < places then
    call('ZADD', key, string.format('%.0f', now), ARGV[i])
    used = used + 1
    reply[#reply + 1] = '1'
  else
    reply[#reply + 1] = '0'
  end
end
if call('EXISTS', key) == 1 then call('PEXPIRE', key, math.ceil(length / 1000) + 1000) end

local free = 0
if used >= places then
  local next = call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', used - places, 1)
  free = next[2] and tonumber(next[2]) + length - now or length
end
reply[#reply + 1] = string.format('%.0f', math.max(free, 0))
return reply

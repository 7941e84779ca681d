-- Puts some of what waiters popped back to the head of its queue, the newest first, unless one of them is alive to do so.
--
-- KEYS  1 rq:first:<q>    2 rq:queue:<q>    3 rq:first:<q>:waiters
-- ARGV  1 how old a sign of life may be, milliseconds; "" puts back whoever is alive    2 most to put back
-- Reply the ids, in their order
--
-- Stands for nothing in RQ.
local list, queue, waiters, silence, most = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), tonumber(ARGV[2])
local call = redis.call
if silence then
  local t = call('TIME')
  local alive = t[1] * 1000 + math.floor(t[2] / 1000) - silence
  if call('ZCOUNT', waiters, alive, '+inf') > 0 then return {} end
end
local ids = call('LRANGE', list, -most, -1)
for i = #ids, 1, -1 do call('LMOVE', list, queue, 'RIGHT', 'LEFT') end
if call('EXISTS', list) == 0 then call('DEL', waiters) end
return ids

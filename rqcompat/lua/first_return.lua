-- Puts everything that waiters popped back to the head of its queue, unless one of them is alive to do so.
--
-- KEYS  1 rq:first:<q>    2 rq:queue:<q>    3 rq:first:<q>:waiters
-- ARGV  1 how old a sign of life may be, milliseconds; "" puts back whoever is alive
-- Reply the ids, in their order
--
-- Stands for nothing in RQ.
local list, queue, waiters, silence = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1])
local call = redis.call
if silence then
  local t = call('TIME')
  local alive = t[1] * 1000 + math.floor(t[2] / 1000) - silence
  if call('ZCOUNT', waiters, alive, '+inf') > 0 then return {} end
end
local ids = call('LRANGE', list, 0, -1)
for i = #ids, 1, -1 do call('LPUSH', queue, ids[i]) end
call('DEL', list, waiters)
return ids

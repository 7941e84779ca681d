-- Puts what waiters popped back to the head of its queue, in the order in which it was popped.
--
-- KEYS  1 rq:first:<q>    2 rq:queue:<q>
-- ARGV  the ids that stay
-- Reply how many ids went back
--
-- Stands for nothing in RQ. What was popped since the caller read the list goes back too, though nobody has judged it:
-- left behind, it would come after jobs that were pushed later.
local list, queue = KEYS[1], KEYS[2]
local call = redis.call
local stays, n = {}, 0
for _, id in ipairs(ARGV) do stays[id] = true end
local ids = call('LRANGE', list, 0, -1)
call('DEL', list)
for i = #ids, 1, -1 do
  if stays[ids[i]] then
    call('LPUSH', list, ids[i])
  else
    call('LPUSH', queue, ids[i])
    n = n + 1
  end
end
return n

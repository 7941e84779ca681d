-- Looks at some of the parents of a child that has many, and queues it when all of them have ended well.
--
-- KEYS  1 rq:releasing:children
-- ARGV  1 child    2 the value of its field: when its parent ended, text, a space, that parent    3 cursor, "0" at first
--       4 now, text
-- Reply the cursor to go on with, "0" when nothing is left to do
--
-- Stands for rq/job.py Job.dependencies_are_met and a part of rq/queue.py Queue.enqueue_dependents. A parent that ends
-- meanwhile writes the field anew, and what is found here is then not the last word.
local noted = KEYS[1]
local child, value, cursor, ts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local call = redis.call
--@include dependents.lua

if call('HGET', noted, child) ~= value then return '0' end
local parent = value:match('^%S+ (.*)$')
local h = call('HMGET', 'rq:job:' .. child, 'status', 'origin', 'ttl', 'enqueue_at_front', 'allow_dependency_failures')
local status, queue, failures_allowed = h[1], h[2], h[5] == '1'
local ready = status == 'deferred' and queue
local page
if ready then
  page = call('SSCAN', 'rq:job::' .. child .. ':dependencies', cursor, 'COUNT', 200)
  for _, dep in ipairs(page[2]) do
    if dep ~= parent and not is_met(dep, failures_allowed) then
      ready = false
      break
    end
  end
  if ready and page[1] ~= '0' then return page[1] end
end
call('HDEL', noted, child)
if ready then
  queue_child(child, queue, h[3], h[4], ts)
  call('SREM', 'rq:job:' .. parent .. ':dependents', child)
end
return '0'

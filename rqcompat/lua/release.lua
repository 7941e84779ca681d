-- Releases some of the dependents that the end of a job set aside, see dependents.lua.
--
-- KEYS  1 rq:releasing
-- ARGV  1 its field: when the parent ended, text, a space, the parent    2 "1": a stopped parent releases    3 now, text
-- Reply how many are left
--
-- Stands for a part of rq/queue.py Queue.enqueue_dependents. A child leaves the set in the step that queues it or puts it
-- back among its parent's dependents, so that any number of callers may take any number of steps. Children without a hash
-- are dropped.
local releasing = KEYS[1]
local field, stopped_releases, ts = ARGV[1], ARGV[2] == '1', ARGV[3]
local most = 100
local call = redis.call
--@include dependents.lua

local status = call('HGET', releasing, field)
if not status then return 0 end
local rest, parent = releasing .. ':' .. field, field:match('^%S+ (.*)$')
local stay = {}
for _, child in ipairs(call('SPOP', rest, most)) do
  if not release_child(child, parent, status, stopped_releases, ts) and call('EXISTS', 'rq:job:' .. child) == 1 then
    stay[#stay + 1] = child
  end
end
local job = 'rq:job:' .. parent
if #stay > 0 and call('EXISTS', job) == 1 then
  redis.pcall('SADD', job .. ':dependents', unpack(stay)) -- a job with such an id may have its hash there
  local ttl = call('PTTL', job)
  if ttl > 0 then call('PEXPIRE', job .. ':dependents', ttl) end
end
local left = call('SCARD', rest)
if left == 0 then call('HDEL', releasing, field) end
return left

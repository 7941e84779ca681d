-- Takes expired jobs out of a group, and the group off the list when it is empty.
--
-- KEYS  1 rq:groups   2 rq:group:<name>
-- ARGV  1 name, then job ids
-- Reply how many jobs were removed
--
-- Stands for rq/group.py Group.cleanup and clean_registries.
local gone = 0
for i = 2, #ARGV do
  if redis.call('EXISTS', 'rq:job:' .. ARGV[i]) == 0 then
    gone = gone + redis.call('SREM', KEYS[2], ARGV[i])
  end
end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SREM', KEYS[1], ARGV[1]) end
return gone

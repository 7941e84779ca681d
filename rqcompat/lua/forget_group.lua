-- Takes expired jobs out of a group, and the group off the list when it is empty.
--
-- KEYS  1 rq:groups   2 rq:group:<name>
-- ARGV  1 name, then job ids
-- Reply how many jobs were removed
--
-- Stands for rq/group.py Group.cleanup and clean_registries.
local groups, group = KEYS[1], KEYS[2]
local name, first_id = ARGV[1], 2
local call = redis.call

local gone = 0
for i = first_id, #ARGV do
  local id = ARGV[i]
  if call('EXISTS', 'rq:job:' .. id) == 0 then gone = gone + call('SREM', group, id) end
end
if call('EXISTS', group) == 0 then call('SREM', groups, name) end
return gone

-- Functions for scripts that write to the same keys for many jobs: --@include grouped.lua
--
-- add(groups, command, prefix, queue, a, b) collects the arguments of one command per queue, on the key
-- prefix .. queue; send(groups) sends one command per queue and returns the errors by queue, nil for none. Keys are made
-- once per queue, not once per job.
local function add(groups, command, prefix, queue, a, b)
  local group = groups[queue]
  if not group then
    group = { command, prefix .. queue }
    groups[queue] = group
  end
  group[#group + 1] = a
  if b then group[#group + 1] = b end
end

local function send(groups)
  local failed
  for queue, group in pairs(groups) do
    local r = redis.pcall(unpack(group))
    if type(r) == 'table' and r.err then
      failed = failed or {}
      failed[queue] = { err = r.err }
    end
  end
  return failed
end

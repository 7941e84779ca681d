-- Tells how large jobs are.
--
-- ARGV  job ids
-- Reply a number of bytes per job: of what its producer can make as large as he likes; 0 for one that isn't there
--
-- Stands for nothing in RQ.
local sizes = {}
for i, id in ipairs(ARGV) do
  local size = 0
  for _, field in ipairs({'data', 'description', 'meta'}) do
    local n = redis.pcall('HSTRLEN', 'rq:job:' .. id, field)
    if type(n) == 'number' then size = size + n end
  end
  sizes[i] = size
end
return sizes

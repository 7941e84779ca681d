-- Functions for scripts that end or repeat what a dead worker had in hand: --@include left_behind.lua
--
-- The including script first includes job_end.lua, and defines queue, id and
--   wip   the key of the queue's started registry

local function listed(key) return call('LPOS', key, id) end

-- in_wip says whether the started registry has the job, under whatever execution.
local function in_wip()
  if call('ZSCORE', wip, id) then return true end
  for _, other in ipairs(call('ZRANGE', 'rq:executions:' .. id, 0, -1)) do
    if call('ZSCORE', wip, id .. ':' .. other) then return true end
  end
  return false
end

-- may_end raises if the job could not be ended, nor put where jobs wait. Asked before anything is written.
local function may_end()
  if composite then holds('rq:executions:' .. id, 'zset') end
  may_wait(queue)
  without_odd(id)
end

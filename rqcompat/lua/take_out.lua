-- A function for scripts that cancel or remove a job: --@include take_out.lua
--
-- take_out(queue, id, executions) takes a job out of its queue and the intermediate list (all copies), where
-- maintenance would otherwise fail it, and out of every registry but canceled, whatever its status says.
-- executions are the ids in rq:executions:<id>.
local function take_out(queue, id, executions)
  call('LREM', 'rq:queue:' .. queue, 0, id)
  call('LREM', 'rq:queue:' .. queue .. ':intermediate', 0, id)
  for _, registry in ipairs({ 'wip', 'finished', 'failed', 'deferred', 'scheduled' }) do
    call('ZREM', 'rq:' .. registry .. ':' .. queue, id)
  end
  for _, execution in ipairs(executions) do
    call('ZREM', 'rq:wip:' .. queue, id .. ':' .. execution)
  end
end

-- Removes the oldest failed jobs of a queue above a limit.
--
-- KEYS  1 rq:failed:<q>
-- ARGV  1 limit    2 most to remove
-- Reply how many entries were removed
--
-- Stands for what Frappe's failure callback truncate_failed_registry does with FailedJobRegistry.remove(delete_job)
-- (frappe/utils/background_jobs.py), which removes the newest. An entry whose job is not failed or stopped any
-- more, or of which a key holds something else, only leaves the registry. Jobs that shall be kept forever (score -1) go last.
local failed = KEYS[1]
local limit, most = ARGV[1], ARGV[2]
local call = redis.call
--@include forget.lua
--@include alone.lua

local excess = math.min(call('ZCARD', failed) - limit, most)
if excess <= 0 then return 0 end
local ids = call('ZRANGEBYSCORE', failed, 0, '+inf', 'LIMIT', 0, excess)
if #ids < excess then
  for _, id in ipairs(call('ZRANGEBYSCORE', failed, '-inf', '(0', 'LIMIT', 0, excess - #ids)) do
    ids[#ids + 1] = id
  end
end
for _, id in ipairs(ids) do
  call('ZREM', failed, id)
  local status = redis.pcall('HGET', 'rq:job:' .. id, 'status')
  if status == 'failed' or status == 'stopped' then alone(forget_job, id) end
end
return #ids

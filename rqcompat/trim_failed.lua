-- Removes the oldest failed jobs of a queue above a limit.
--
-- KEYS  1 rq:failed:<q>
-- ARGV  1 limit    2 most to remove
-- Reply how many entries were removed
--
-- Stands for what Frappe's failure callback truncate_failed_registry does with FailedJobRegistry.remove(delete_job)
-- (frappe/utils/background_jobs.py), which removes the newest. An entry whose job is not failed or stopped any
-- more only leaves the registry. Jobs that shall be kept forever (score -1) go last.
--@include forget.lua
local excess = math.min(redis.call('ZCARD', KEYS[1]) - ARGV[1], ARGV[2])
if excess <= 0 then return 0 end
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], 0, '+inf', 'LIMIT', 0, excess)
if #ids < excess then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0', 'LIMIT', 0, excess - #ids)) do
    ids[#ids + 1] = id
  end
end
for _, id in ipairs(ids) do
  redis.call('ZREM', KEYS[1], id)
  local status = redis.pcall('HGET', 'rq:job:' .. id, 'status')
  if status == 'failed' or status == 'stopped' then forget_job(id) end
end
return #ids

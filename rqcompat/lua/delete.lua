-- Deletes one job and everything that mentions it.
--
-- KEYS  1 rq:job:<id>
-- ARGV  1 id
-- Reply 1 deleted, 0 no such job (what was left of it, such as results, is gone all the same)
--
-- Stands for rq/job.py Job.delete; see forget.lua.
local job, id = KEYS[1], ARGV[1]
local call = redis.call
--@include forget.lua

local existed = call('EXISTS', job)
forget_job(id)
return existed

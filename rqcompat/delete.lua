-- Deletes one job and everything that mentions it.
--
-- KEYS  1 rq:job:<id>
-- ARGV  1 id
-- Reply 1 deleted, 0 no such job (what was left of it, such as results, is gone all the same)
--
-- Stands for rq/job.py Job.delete; see forget.lua.
--@include forget.lua
local existed = redis.call('EXISTS', KEYS[1])
forget_job(ARGV[1])
return existed

-- Notes that a process begins to read the call of a job, which may be its end.
--
-- KEYS  1 rq:reading:<id>
-- ARGV  1 process  2 milliseconds after which a reading that hasn't ended was its process's end  3 TTL in milliseconds
-- Reply how many other processes ended so, or -1 if another one reads the job now: nothing is noted then
--
-- Stands for nothing in RQ.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local marks = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local ended = 0
for i = 1, #marks, 2 do
  if marks[i] ~= ARGV[1] then
    if now - tonumber(marks[i + 1]) < tonumber(ARGV[2]) then return -1 end
    ended = ended + 1
  end
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return ended

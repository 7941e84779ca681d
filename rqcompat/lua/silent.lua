-- Says which processes have fallen silent: the subscription that lives as long as the process is gone.
--
-- KEYS  1 rq:processes:heard    2 rq:processes
-- ARGV  1 the process that asks
-- Reply whether that one is heard, 0 or 1, then the names of those that were and aren't any more
--
-- Stands for nothing in RQ. Who asks is alive whatever became of its subscription: it joins those who are heard only
-- while it is, so that nobody takes it for dead who is about to subscribe again. Names that rq:processes has forgotten go.
local heard, known, self = KEYS[1], KEYS[2], ARGV[1]
local call = redis.call

local function listens(name) return call('PUBSUB', 'NUMSUB', 'rq:pubsub:' .. name)[2] > 0 end

local answers = listens(self)
call(answers and 'SADD' or 'SREM', heard, self)
-- Whose name an emptied server has lost may die before it is published again.
if answers then call('ZADD', known, 'NX', call('TIME')[1], self) end
local reply = { answers and 1 or 0 }
for _, name in ipairs(call('SMEMBERS', heard)) do
  if name ~= self and not listens(name) then
    if call('ZSCORE', known, name) then
      reply[#reply + 1] = name
    else
      call('SREM', heard, name)
    end
  end
end
return reply

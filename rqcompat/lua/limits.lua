-- Functions for scripts that count what the same limit counts: --@include limits.lua
--
-- A limit is a ZSET rq:limit:<key>. One of jobs that run has their workers, which run one each, scored by when their lease
-- ends; one of starts within a window the executions that started, scored by when. So of both that counts which is
-- younger than the window, of 0 for those that run. The including script defines now_ms. A place is where in ARGV key,
-- most, window and lease stand.

-- held says of the first of a job's limits that is used up which it is, and when something of it frees at the latest: as
-- claim.lua replies it.
local function held(places)
  for nth, i in ipairs(places) do
    local key, most, window = 'rq:limit:' .. ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local counts = '(' .. string.format('%.0f', now_ms - window)
    if call('ZCOUNT', key, counts, '+inf') >= most then
      local first = call('ZRANGEBYSCORE', key, counts, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
      return -(8 * math.min(math.max(math.ceil(first + window - now_ms), 1), 86400000) + nth)
    end
  end
end

-- enter counts an execution of a worker. What doesn't count any more goes in steps of two, faster than it comes.
local function enter(places, execution, worker)
  for _, i in ipairs(places) do
    local key, window, lease = 'rq:limit:' .. ARGV[i], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
    local lapsed = call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now_ms - window), 'LIMIT', 0, 2)
    if #lapsed > 0 then call('ZREM', key, unpack(lapsed)) end
    call('ZADD', key, string.format('%.0f', window > 0 and now_ms or now_ms + lease), window > 0 and execution or worker)
    call('PEXPIRE', key, string.format('%.0f', 60000 + (window > 0 and window or lease)))
  end
end

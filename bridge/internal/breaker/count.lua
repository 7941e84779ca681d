-- Counts attempts that ended and says how many did within the window.
--
-- KEYS     HASH per Job Type and organization: "<bucket>" -> attempts, "<bucket>f" -> failures
-- ARGV     the bucket of now, the oldest one within the window, life of the keys (ms), then per key attempts and failures
-- reply    per key the attempts and the failures of all buckets within the window
local sums = {}
for i, key in ipairs(KEYS) do
  local attempts, failures = ARGV[2 * i + 2], ARGV[2 * i + 3]
  redis.call('HINCRBY', key, ARGV[1], attempts)
  redis.call('HINCRBY', key, ARGV[1] .. 'f', failures)
  redis.call('PEXPIRE', key, ARGV[3])
  local all, failed = 0, 0
  local found = redis.call('HGETALL', key)
  for n = 1, #found, 2 do
    local bucket = string.match(found[n], '^%d+')
    if not bucket or tonumber(bucket) < tonumber(ARGV[2]) then
      redis.call('HDEL', key, found[n])
    elseif bucket == found[n] then
      all = all + found[n + 1]
    else
      failed = failed + found[n + 1]
    end
  end
  sums[2 * i - 1], sums[2 * i] = all, failed
end
return sums

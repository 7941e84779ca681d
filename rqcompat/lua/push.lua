-- Functions for scripts that put a job into its queue: --@include push.lua
--
-- ttl_of(text) gives a ttl field of a hash as Redis takes it: none for what isn't a whole number, and at most some 300 years,
-- beyond which Redis takes no expiry. Who enqueues writes these fields; a job must be able to end whatever they say.
local function ttl_of(text)
  if not text or not text:match('^%-?%d+$') then return nil end
  return #text <= 10 and text or text:sub(1, 1) == '-' and '-1' or '9999999999'
end

-- expire_job(id, ttl) gives a job's three keys the same ttl, as rq/job.py Job.cleanup does.
local function expire_job(id, ttl)
  call('EXPIRE', 'rq:job:' .. id, ttl)
  call('EXPIRE', 'rq:job:' .. id .. ':dependents', ttl)
  call('EXPIRE', 'rq:job::' .. id .. ':dependencies', ttl)
end

-- persist_job(id) takes the ttl of these keys off.
local function persist_job(id)
  call('PERSIST', 'rq:job:' .. id)
  call('PERSIST', 'rq:job:' .. id .. ':dependents')
  call('PERSIST', 'rq:job::' .. id .. ':dependencies')
end

-- push_job(queue, id, command, ttl) puts a job whose hash says "queued" into its list with LPUSH or RPUSH and counts
-- its ttl (the field of the hash) from now, as rq/queue.py Queue._enqueue_job does. The registration in rq:queues is
-- repeated with every push: 2.x does not, and loses sight of a queue that was deleted meanwhile.
local function push_job(queue, id, command, ttl)
  ttl = ttl_of(ttl)
  if ttl and tonumber(ttl) > 0 then expire_job(id, ttl) end
  call('SADD', 'rq:queues', 'rq:queue:' .. queue)
  call(command, 'rq:queue:' .. queue, id)
end

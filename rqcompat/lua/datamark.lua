-- Says which data this server has: a mark that is lost with them, and another one when another server has them.
--
-- KEYS  1 rq:processes:data
-- ARGV  1 what makes a new mark unique
-- Reply the mark
--
-- Stands for nothing in RQ. The mark names the run id of the server that it was made on, and when: one that was started again may have
-- kept its data from some time ago, and one that took over from another may lack what came last. FLUSHALL keeps the run id
-- and takes the mark. A user who may not ask for the run id is told of lost marks only.
local key = KEYS[1]
local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
local mark = redis.pcall('GET', key)
if type(mark) == 'string' then
  local made = string.match(mark, '^%S+ (%w*) %d+$')
  if made and (made == server or made == '' or server == '') then return mark end
end
mark = ARGV[1] .. ' ' .. server .. ' ' .. redis.call('TIME')[1]
redis.call('SET', key, mark)
return mark

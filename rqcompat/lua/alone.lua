-- Functions for scripts that do the same for many members: --@include alone.lua
--
-- alone(f, ...) is what f returns, or the error that it met as this member's part of the reply: what is wrong with one
-- member keeps no other from being done. What f wrote before stays written, so that f asks holds first.
-- holds(key, kind) says whether the key exists, and raises what a command would raise if it holds something else.
local function alone(f, ...)
  local ok, r = pcall(f, ...)
  if ok then return r end
  return { err = type(r) == 'table' and r.err or r } -- a text before Redis 7
end

local function holds(key, kind)
  local is = call('TYPE', key).ok
  if is ~= kind and is ~= 'none' then
    error({ err = 'WRONGTYPE Operation against a key holding the wrong kind of value: ' .. key .. ' is a ' .. is })
  end
  return is ~= 'none'
end

-- Give up a reservation whose conversation went elsewhere.
--
-- KEYS[1]  desk:{<shop>}:inbox:<agent>   zset, conversation -> server time in ms when added
-- KEYS[2]  desk:{<shop>}:held            hash, conversation -> "<version> <agent, or nothing>", as in hand_out.lua
-- KEYS[3]  desk:{<shop>}:placed          hash, conversation -> "<version> <agent, or nothing>"
-- ARGV[1]  the conversation
-- ARGV[2]  the agent
-- ARGV[3]  the version of its document, by which it is not theirs. A reservation for a decision on that one, or a later
--          one, is somebody else's, whose commit is under way; for a minute, as in place.lua
--
-- Returns  nothing

local held, agent = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^(%S+) (.*)$')
if agent == ARGV[2] then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local since = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
  if (tonumber(held) or -1) >= tonumber(ARGV[3]) and since >= now - 60000 then
    return false
  end
  redis.call('HDEL', KEYS[2], ARGV[1])
end
local placed = redis.call('HGET', KEYS[3], ARGV[1])
if not placed or string.match(placed, '^%d+ (.*)$') ~= ARGV[2] then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return false

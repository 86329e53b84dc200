-- Give up a reservation whose conversation went elsewhere.
--
-- KEYS[1]  desk:{<shop>}:inbox:<agent>   zset, conversation -> server time in ms when added
-- KEYS[2]  desk:{<shop>}:held            hash, conversation -> the agent for whom it is reserved
-- KEYS[3]  desk:{<shop>}:placed          hash, conversation -> "<version> <agent, or nothing>"
-- ARGV[1]  the conversation
-- ARGV[2]  the agent
--
-- Returns  nothing

if redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[2], ARGV[1])
end
local placed = redis.call('HGET', KEYS[3], ARGV[1])
if not placed or string.match(placed, '^%d+ (.*)$') ~= ARGV[2] then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return false

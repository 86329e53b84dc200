-- Reserve a conversation for one agent, if they have room.
--
-- KEYS[1]  desk:{<shop>}:inbox:<agent>   zset, conversation -> server time in ms when added
-- KEYS[2]  desk:{<shop>}:held            hash, conversation -> "<version> <agent, or nothing>", as in hand_out.lua
-- KEYS[3]  desk:{<shop>}:idle            zset, agent -> server time in ms since their number of conversations changed
-- KEYS[4]  desk:{<shop>}:present         hash, "agent:<id>" -> how many gateways vouch for them
-- KEYS[5]  desk:{<shop>}:gone            zset, agent -> server time in ms since they are away, or were last seen to
-- KEYS[6]  desk:{<shop>}:left            hash, agent -> server time in ms when they last left
-- ARGV[1]  the conversation
-- ARGV[2]  the agent; of one who is away the conversations are to be seen to again, or this one might wait for ever
-- ARGV[3]  how many conversations an agent may have
-- ARGV[4]  the version of the conversation's document
--
-- Returns  1, or 0 where there is no room

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
    return 0
  end
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('ZADD', KEYS[3], now, ARGV[2])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4] .. ' ' .. ARGV[2])
if redis.call('HEXISTS', KEYS[4], 'agent:' .. ARGV[2]) == 0 then
  redis.call('HSETNX', KEYS[6], ARGV[2], now)
  redis.call('ZADD', KEYS[5], 'NX', now, ARGV[2])
end
return 1

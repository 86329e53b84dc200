-- Put a conversation where its document says that it belongs. Of two calls the one with the higher version holds.
--
-- KEYS[1]  desk:{<shop>}:waiting   zset, conversation -> server time in ms since when it waits; the other keys of the
--                                  desk are named after it (same slot):
--            …:placed              hash, conversation -> "<version of its document> <agent, or nothing>"
--            …:inbox:<agent>, …:idle, …:last, …:held   as in hand_out.lua
--            …:past:<agent>        zset, conversation -> server time in ms when it went to somebody else
-- ARGV[1]  the conversation
-- ARGV[2]  the version of its document
-- ARGV[3]  whose it is: "agent", "nobody" (it waits) or "closed"
-- ARGV[4]  the agent, or ""
-- ARGV[5]  since when it waits, in ms, unless the desk knows
-- ARGV[6]  how many conversations of the past are kept for each agent
--
-- Returns  1, or 0 where the desk knows of a newer version

local desk = string.sub(KEYS[1], 1, -8)
local conversation, version, whose, agent = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local before = ''
local placed = redis.call('HGET', desk .. 'placed', conversation)
if placed then
  local known, had = string.match(placed, '^(%d+) (.*)$')
  if tonumber(known) > version then
    return 0
  end
  before = had
end
redis.call('HSET', desk .. 'placed', conversation, ARGV[2] .. ' ' .. agent)

if before ~= '' and before ~= agent then
  local past = desk .. 'past:' .. before
  redis.call('ZREM', desk .. 'inbox:' .. before, conversation)
  redis.call('ZADD', desk .. 'idle', now, before)
  if whose ~= 'closed' then
    redis.call('ZADD', past, now, conversation)
    redis.call('ZREMRANGEBYRANK', past, 0, -1 - tonumber(ARGV[6]))
  end
end
if agent ~= '' then
  redis.call('ZADD', desk .. 'inbox:' .. agent, 'NX', now, conversation)
  redis.call('HSET', desk .. 'last', conversation, agent)
  redis.call('ZREM', desk .. 'past:' .. agent, conversation)
  if redis.call('HGET', desk .. 'held', conversation) == agent then
    redis.call('HDEL', desk .. 'held', conversation)
  end
end
if whose == 'nobody' then
  redis.call('ZADD', KEYS[1], 'NX', ARGV[5], conversation)
else
  redis.call('ZREM', KEYS[1], conversation)
end
return 1

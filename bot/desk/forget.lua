-- Forget a conversation that is no more, or is about to be removed.
--
-- KEYS[1]  desk:{<shop>}:waiting   zset, conversation -> server time in ms since when it waits; the other keys of the
--                                  desk are named after it (same slot): …:placed, …:held, …:last, …:inbox:<agent>,
--                                  …:past:<agent>, …:idle, as in place.lua
--          and people:{<shop>}:agents  hash, agent -> name
-- ARGV[1]  the conversation
-- ARGV[2]  the last version of its document
--
-- Returns  1, or 0 where nothing is forgotten: the desk knows of a newer version, or the conversation is reserved for a
--          decision on that one, or a later one, which is under way; for a minute, as in place.lua

local desk = string.sub(KEYS[1], 1, -8)
local people = 'people:' .. string.match(desk, '{.-}') .. ':agents'
local conversation = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local version, placed = string.match(redis.call('HGET', desk .. 'placed', conversation) or '', '^(%d+) (.*)$')
if version and tonumber(version) > tonumber(ARGV[2]) then
  return 0
end
local decided_on, held = string.match(redis.call('HGET', desk .. 'held', conversation) or '', '^(%S+) (.*)$')
if held and (tonumber(decided_on) or math.huge) >= tonumber(ARGV[2]) then
  local index = held == '' and KEYS[1] or desk .. 'inbox:' .. held
  if tonumber(redis.call('ZSCORE', index, conversation) or '0') >= now - 60000 then
    return 0
  end
end

local agents = redis.call('HKEYS', people)
for _, agent in ipairs({placed or '', held or '', redis.call('HGET', desk .. 'last', conversation) or ''}) do
  agents[#agents + 1] = agent
end
for _, agent in ipairs(agents) do
  if redis.call('ZREM', desk .. 'inbox:' .. agent, conversation) == 1 then
    redis.call('ZADD', desk .. 'idle', string.format('%.0f', now), agent)
  end
  redis.call('ZREM', desk .. 'past:' .. agent, conversation)
end
redis.call('ZREM', KEYS[1], conversation)
for _, name in ipairs({'placed', 'held', 'last'}) do
  redis.call('HDEL', desk .. name, conversation)
end
return 1

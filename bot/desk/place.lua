-- Put a conversation where its document says that it belongs. Of two calls the one with the higher version holds.
-- What was reserved for a decision on this version, or a later one, stays reserved: its commit is under way, for a minute.
--
-- KEYS[1]  desk:{<shop>}:waiting   zset, conversation -> server time in ms since when it waits; the other keys of the
--                                  desk are named after it (same slot):
--            …:placed              hash, conversation -> "<version of its document> <agent, or nothing>"
--            …:inbox:<agent>, …:idle, …:last, …:held   as in hand_out.lua
--            …:past:<agent>        zset, conversation -> server time in ms when it went to somebody else
--            …:present, …:agents   as in vouch.lua
-- ARGV[1]  the conversation
-- ARGV[2]  the version of its document
-- ARGV[3]  whose it is: "agent", "nobody" (it waits) or "closed"
-- ARGV[4]  the agent, or ""
-- ARGV[5]  since when it waits, in ms, unless the desk knows
-- ARGV[6]  how many conversations of the past are kept for each agent
-- ARGV[7]  whose it was by the document, or "": the desk itself may not have been told, but has them with it
--
-- Publishes, of a conversation that was elsewhere, whether the other side is here: to the buyer and the agent, or the
-- desk where it waits. From now on those are told who comes and who leaves.
--
-- Returns  1, or 0 where the desk knows of a newer version

local desk = string.sub(KEYS[1], 1, -8)
local conversation, version, whose, agent = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now = string.format('%.0f', now_ms)

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

local decided_on, held = string.match(redis.call('HGET', desk .. 'held', conversation) or '', '^(%S+) (.*)$')
local under_way = false
if (tonumber(decided_on) or -1) >= version then
  local index = held == '' and KEYS[1] or desk .. 'inbox:' .. held
  under_way = tonumber(redis.call('ZSCORE', index, conversation) or '0') >= now_ms - 60000
end
if held and not under_way and (decided_on ~= '?' or held == agent) then
  redis.call('HDEL', desk .. 'held', conversation)
  if held ~= '' and held ~= agent then
    redis.call('ZREM', desk .. 'inbox:' .. held, conversation)
  end
end
for _, former in ipairs(before == ARGV[7] and {before} or {before, ARGV[7]}) do
  if former ~= '' and former ~= agent then
    local past = desk .. 'past:' .. former
    if not (under_way and held == former) then
      redis.call('ZREM', desk .. 'inbox:' .. former, conversation)
    end
    redis.call('ZADD', desk .. 'idle', now, former)
    if whose ~= 'closed' then
      redis.call('ZADD', past, now, conversation)
      redis.call('ZREMRANGEBYRANK', past, 0, -1 - tonumber(ARGV[6]))
    end
  end
end
if agent ~= '' then
  redis.call('ZADD', desk .. 'inbox:' .. agent, 'NX', now, conversation)
  redis.call('HSET', desk .. 'last', conversation, agent)
  redis.call('ZREM', desk .. 'past:' .. agent, conversation)
end
if whose == 'nobody' then
  redis.call('ZADD', KEYS[1], 'NX', ARGV[5], conversation)
elseif not under_way then
  redis.call('ZREM', KEYS[1], conversation)
end

local shop, buyer = string.match(conversation, '^(.-)%.(.*)$')
local function tell(channel, role, id)
  local state = 'offline'
  if redis.call('HEXISTS', desk .. 'present', role .. ':' .. id) == 1 then
    state = role == 'agent' and redis.call('HGET', desk .. 'agents', id) or 'online'
  end
  local sign = '{"type":"presence","role":"' .. role .. '","id":"' .. id .. '","state":"' .. state .. '"}'
  redis.call('PUBLISH', channel, conversation .. ' 0 ' .. now .. ' ' .. sign)
end
if placed == ARGV[2] .. ' ' .. agent then
  return 1
end
if agent ~= '' then
  tell('live:' .. shop .. ':buyer:' .. buyer, 'agent', agent)
  tell('live:' .. shop .. ':agent:' .. agent, 'buyer', buyer)
elseif whose == 'nobody' then
  tell('desk:' .. shop, 'buyer', buyer)
end
return 1

-- One gateway vouches for the people who are connected to it; whoever nobody vouches for any longer is away.
--
-- KEYS[1]  desk:{<shop>}:leases    zset, "<role>:<id> <node>" -> server time in ms until when the node's word counts;
--                                  the other keys of the desk are named after it (same slot):
--            …:present             hash, "<role>:<id>" -> how many nodes vouch for them
--            …:seen                hash, agent -> server time in ms of the last word
--            …:agents              hash, agent -> "online" or "suspended", as they chose
--            …:idle                zset, agent -> server time in ms since their number of conversations changed
--            …:left, …:back        hashes, agent -> server time in ms when they last left, and came back
--            …:gone                zset, agent -> server time in ms since they are away, or were last seen to
--            …:inbox:<agent>, …:placed, …:waiting   as in place.lua
-- ARGV[1]  this node
-- ARGV[2]  how long its word counts, in ms
-- ARGV[3]  "here", or "leaving": then it counts only where it did so far
-- ARGV[4]  away for so long (ms) an agent's conversations are to be offered to others
-- ARGV[5…] people, "<role>:<id>"
--
-- Publishes who came and who left: an agent to the shop's desk and to their buyers, a buyer to their agent,
-- or to the desk while they wait there.
--
-- Returns  {number of conversations that wait, agents whose conversations are to be offered to others,
--           1 if there may be more who are away, else 0}

local MOST = 1000  -- leases that end in one call, so that nobody else has to wait for all of a gateway's
local desk = string.sub(KEYS[1], 1, -7)
local shop = string.match(desk, '{(.-)}')
local node, lease, leaving, grace = ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'leaving', tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function ms(instant) return string.format('%.0f', instant) end

local function tell(role, id, online)
  local state = online and 'online' or 'offline'
  if role == 'agent' then
    state = online and redis.call('HGET', desk .. 'agents', id) or state
    local sign = '{"type":"presence","role":"agent","id":"' .. id .. '","state":"' .. state .. '"}'
    redis.call('PUBLISH', 'desk:' .. shop, '- 0 ' .. ms(now) .. ' ' .. sign)
    for _, conversation in ipairs(redis.call('ZRANGE', desk .. 'inbox:' .. id, 0, -1)) do
      local buyer = string.sub(conversation, #shop + 2)
      redis.call('PUBLISH', 'live:' .. shop .. ':buyer:' .. buyer, conversation .. ' 0 ' .. ms(now) .. ' ' .. sign)
    end
  elseif role == 'buyer' then
    local conversation = shop .. '.' .. id
    local agent = string.match(redis.call('HGET', desk .. 'placed', conversation) or '', '^%d+ (.+)$')
    local channel = agent and 'live:' .. shop .. ':agent:' .. agent
    if not agent and redis.call('ZSCORE', desk .. 'waiting', conversation) then
      channel = 'desk:' .. shop
    end
    if channel then
      local sign = '{"type":"presence","role":"buyer","id":"' .. id .. '","state":"' .. state .. '"}'
      redis.call('PUBLISH', channel, conversation .. ' 0 ' .. ms(now) .. ' ' .. sign)
    end
  end
end

for i = 5, #ARGV do
  local person = ARGV[i]
  local member = person .. ' ' .. node
  local role, id = string.match(person, '^(%a+):(.*)$')
  local added = 0
  if leaving then
    redis.call('ZADD', KEYS[1], 'XX', ms(now + lease), member)
  else
    added = redis.call('ZADD', KEYS[1], ms(now + lease), member)
  end
  if role == 'agent' then
    redis.call('HSET', desk .. 'seen', id, ms(now))
  end
  if added == 1 and redis.call('HINCRBY', desk .. 'present', person, 1) == 1 then
    if role == 'agent' then
      redis.call('HSETNX', desk .. 'agents', id, 'online')
      redis.call('ZREM', desk .. 'gone', id)
      redis.call('ZADD', desk .. 'idle', ms(now), id)
      redis.call('HSET', desk .. 'back', id, ms(now))
    end
    tell(role, id, true)
  end
end

local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ms(now), 'LIMIT', 0, MOST)
for _, member in ipairs(over) do
  local person = string.match(member, '^(%S+) ')
  local role, id = string.match(person, '^(%a+):(.*)$')
  redis.call('ZREM', KEYS[1], member)
  if redis.call('HINCRBY', desk .. 'present', person, -1) <= 0 then
    redis.call('HDEL', desk .. 'present', person)
    if role == 'agent' then
      local left = redis.call('HGET', desk .. 'seen', id) or ms(now)
      redis.call('HSET', desk .. 'left', id, left)
      redis.call('ZADD', desk .. 'gone', left, id)
    end
    tell(role, id, false)
  end
end

return {
  redis.call('ZCARD', desk .. 'waiting'),
  redis.call('ZRANGEBYSCORE', desk .. 'gone', '-inf', ms(now - grace), 'LIMIT', 0, 100),
  #over == MOST and 1 or 0,
}

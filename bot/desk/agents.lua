-- Everybody who works at a desk: what they chose, whether they are here, how many conversations they have.
--
-- KEYS[1]  people:{<shop>}:agents        hash, agent -> name
-- KEYS[2]  desk:{<shop>}:agents          hash, agent -> "online" or "suspended", as they chose
-- KEYS[3]  desk:{<shop>}:present         hash, "agent:<id>" -> how many gateways vouch for them
-- KEYS[4]  desk:{<shop>}:left            hash, agent -> server time in ms when they last left
-- ARGV[1]  "desk:{<shop>}:inbox:", what the keys of inboxes begin with
--
-- Returns  {id, name, choice or nothing, 1 if here, conversations, ms when they last left or nothing} for each

local agents = {}
local names = redis.call('HGETALL', KEYS[1])
for i = 1, #names, 2 do
  local id = names[i]
  agents[#agents + 1] = {
    id,
    names[i + 1],
    redis.call('HGET', KEYS[2], id),
    redis.call('HEXISTS', KEYS[3], 'agent:' .. id),
    redis.call('ZCARD', ARGV[1] .. id),
    redis.call('HGET', KEYS[4], id),
  }
end
return agents

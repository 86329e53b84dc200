-- Find an agent for conversations that nobody has: the one of last time if they have room, else whoever has the fewest.
--
-- KEYS[1]  desk:{<shop>}:waiting   zset, conversation -> server time in ms since when it waits; the other keys of the
--                                  desk are named after it (same slot):
--            …:agents              hash, agent -> "online" or "suspended", as they chose
--            …:present             hash, "agent:<id>" -> how many gateways vouch for them
--            …:inbox:<agent>       zset, conversation -> server time in ms when added
--            …:idle                zset, agent -> server time in ms since their number of conversations changed
--            …:last                hash, conversation -> its last agent
--            …:held                hash, conversation -> "<version> <agent, or nothing>": reserved for that agent (or for
--                                  the desk), for a decision on that version of its document; "?": not read yet
--          and people:{<shop>}:agents  hash, agent -> name
-- ARGV[1]  how many conversations an agent may have
-- ARGV[2]  how many of the waiting to look at, the longest waiting first, or 0: those of ARGV[3…], which then wait
-- ARGV[3…] conversation, version of its document, …
--
-- A reservation counts as a conversation. It is given again to whoever asks again, so that one whose asker died is
-- carried out by the next.
--
-- Returns  conversation, agent, agent's name, … for those that an agent was found for

local desk = string.sub(KEYS[1], 1, -8)
local people = 'people:' .. string.match(desk, '{.-}') .. ':agents'
local limit, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)

local free = {}
local chosen = redis.call('HGETALL', desk .. 'agents')
for i = 1, #chosen, 2 do
  local id = chosen[i]
  if chosen[i + 1] == 'online' and redis.call('HEXISTS', desk .. 'present', 'agent:' .. id) == 1 then
    free[id] = {
      open = redis.call('ZCARD', desk .. 'inbox:' .. id),
      idle = tonumber(redis.call('ZSCORE', desk .. 'idle', id) or '0'),
    }
  end
end

local function room(id)
  return id and free[id] and free[id].open < limit
end

local function least()
  local best
  for id, one in pairs(free) do
    local other = best and free[best]
    if one.open < limit and (not best or one.open < other.open
        or (one.open == other.open and (one.idle < other.idle or (one.idle == other.idle and id < best)))) then
      best = id
    end
  end
  return best
end

local conversations, versions = {}, {}
if most > 0 then
  conversations = redis.call('ZRANGE', KEYS[1], 0, most - 1)
else
  for i = 3, #ARGV, 2 do
    conversations[#conversations + 1] = ARGV[i]
    versions[ARGV[i]] = ARGV[i + 1]
  end
end

local given = {}
for _, conversation in ipairs(conversations) do
  redis.call('ZADD', KEYS[1], 'NX', now_text, conversation)
  local version = versions[conversation]
  local held, agent = string.match(redis.call('HGET', desk .. 'held', conversation) or '', '^(%S+) (.*)$')
  if held and (not version or (tonumber(held) or 0) > tonumber(version)) then
    version = held
  end
  if not (agent and free[agent] and redis.call('ZSCORE', desk .. 'inbox:' .. agent, conversation)) then
    agent = redis.call('HGET', desk .. 'last', conversation)
    if not room(agent) then
      agent = least()
    end
    if agent then
      if redis.call('ZADD', desk .. 'inbox:' .. agent, now_text, conversation) == 1 then
        free[agent].open = free[agent].open + 1
      end
      free[agent].idle = now
      redis.call('ZADD', desk .. 'idle', now_text, agent)
    end
  end
  if agent or versions[conversation] then
    redis.call('HSET', desk .. 'held', conversation, (version or '?') .. ' ' .. (agent or ''))
  end
  if agent then
    given[#given + 1] = conversation
    given[#given + 1] = agent
    given[#given + 1] = redis.call('HGET', people, agent) or agent
  end
end
return given

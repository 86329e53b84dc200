-- An agent takes new conversations, or gets no new ones.
--
-- KEYS[1]  desk:{<shop>}:agents    hash, agent -> "online" or "suspended"
-- ARGV[1]  the agent
-- ARGV[2]  "online" or "suspended"
-- ARGV[3]  the channel of the desk, which is told of a change
-- ARGV[4]  what it is told, JSON
--
-- Returns  nothing

local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])  -- also what it is already: who waits for replicas waits for a write
if before ~= ARGV[2] then
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('PUBLISH', ARGV[3], '- 0 ' .. now .. ' ' .. ARGV[4])
end
return false

-- An absent agent's conversations were seen to, unless they came back and left again meanwhile.
--
-- KEYS[1]  desk:{<shop>}:gone      zset, agent -> server time in ms since they are away
-- ARGV[1]  the agent
-- ARGV[2]  away for so long (ms) they must be
--
-- Returns  nothing

local time = redis.call('TIME')
local since = redis.call('ZSCORE', KEYS[1], ARGV[1])
if since and tonumber(since) <= time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[2]) then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return false

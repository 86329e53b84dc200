-- An absent agent's conversations were seen to, unless they came back and left again meanwhile. As long as some are theirs
-- these are seen to again after as long: a buyer may have written, or one may have been given to them, at that moment.
--
-- KEYS[1]  desk:{<shop>}:gone            zset, agent -> server time in ms since they are away, or were seen to
-- KEYS[2]  desk:{<shop>}:inbox:<agent>   zset, conversation -> server time in ms when added
-- ARGV[1]  the agent
-- ARGV[2]  away for so long (ms) they must be
--
-- Returns  nothing

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = redis.call('ZSCORE', KEYS[1], ARGV[1])
if since and tonumber(since) <= now - tonumber(ARGV[2]) then
  if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
  else
    redis.call('ZREM', KEYS[1], ARGV[1])
  end
end
return false

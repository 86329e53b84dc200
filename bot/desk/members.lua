-- Which conversations an index names, the longest there first; and drop those that turned out not to belong to it.
--
-- KEYS[1]  desk:{<shop>}:inbox:<agent> or …:waiting   zset, conversation -> server time in ms when added
-- ARGV[1…] conversations to drop, unless they were added less than a minute ago: a commit that an addition was made
--          for may still be under way
--
-- Returns  the members

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #ARGV do
  local added = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if added and tonumber(added) < now - 60000 then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return redis.call('ZRANGE', KEYS[1], 0, -1)

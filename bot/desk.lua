-- One index of conversations, each with the time it was last added.
--
-- KEYS[1]  inbox:{<shop>:<agent>} or waiting:{<shop>}   zset, conversation id -> server time in ms
-- ARGV[1]  "add", "members" or "drop"
-- ARGV[2…] the conversation to add, or those to drop unless they were added less than a minute ago: a commit that an
--          addition was made for may still be under way
--
-- Returns  the members, or how many were added or dropped

if ARGV[1] == 'members' then
  return redis.call('ZRANGE', KEYS[1], 0, -1)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] == 'add' then
  return redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[2])
end
local dropped = 0
for i = 2, #ARGV do
  local added = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if added and tonumber(added) < now - 60000 then
    dropped = dropped + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return dropped

-- One index of conversations.
--
-- KEYS[1]  inbox:{<shop>:<agent>} or waiting:{<shop>}   set of conversation ids
-- ARGV[1]  "add" or "members"
-- ARGV[2]  the conversation to add
--
-- Returns  the members, or how many were added

if ARGV[1] == 'add' then
  return redis.call('SADD', KEYS[1], ARGV[2])
end
return redis.call('SMEMBERS', KEYS[1])

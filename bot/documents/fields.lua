-- Read some marks of a conversation.
--
-- KEYS[1]  chat:{c}   hash
-- ARGV[…]  fields
--
-- Returns  the value of each, or nothing

return redis.call('HMGET', KEYS[1], unpack(ARGV))

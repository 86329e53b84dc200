-- Conversations that went from an agent to somebody else.
--
-- KEYS[1]  desk:{<shop>}:past:<agent>   zset, conversation -> server time in ms when it went
-- ARGV[1]  since when, in ms
--
-- Returns  {conversation, ms when it went, …}

return redis.call('ZRANGE', KEYS[1], ARGV[1], '+inf', 'BYSCORE', 'WITHSCORES')

-- People's names, over what was known.
--
-- KEYS[1]  people:{s}:agents or people:{s}:buyers   hash: id → name
-- ARGV[…]  id, name, id, name, …
-- Returns nothing.

redis.call('HSET', KEYS[1], unpack(ARGV))
return nil

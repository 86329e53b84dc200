-- One document of an import.
--
-- KEYS[1]  the document, a hash
-- KEYS[2]  shop:{s}:index        set of the keys that an import clears
-- ARGV[…]  fields and values
-- Returns nothing.

redis.call('HSET', KEYS[1], unpack(ARGV))
redis.call('SADD', KEYS[2], KEYS[1])
return nil

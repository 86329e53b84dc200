-- One order of an import, and its place among its buyer's orders.
--
-- KEYS[1]  shop:{s}:order:<id>   hash: body
-- KEYS[2]  shop:{s}:buyer:<id>   zset: order id → its place in the import, later is newer
-- KEYS[3]  shop:{s}:index        set of the keys that an import clears
-- ARGV[1]  order id
-- ARGV[2]  its place
-- ARGV[3]  the order as JSON
-- Returns nothing.

redis.call('HSET', KEYS[1], 'body', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('SADD', KEYS[3], KEYS[1], KEYS[2])
return nil

-- The ids of a buyer's newest orders.
--
-- KEYS[1]  shop:{s}:buyer:<id>   zset: order id → its place in the import, later is newer
-- ARGV[1]  how many at most
-- Returns the ids, newest first.

return redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1, 'REV')

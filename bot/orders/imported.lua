-- Some of the keys that earlier imports wrote.
--
-- KEYS[1]  shop:{s}:index  set of keys
-- ARGV[1]  how many at most
-- Returns the keys, none when all are cleared.

return redis.call('SRANDMEMBER', KEYS[1], ARGV[1])

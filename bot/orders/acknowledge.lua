-- Events whose consequence is committed leave the group and the stream.
--
-- KEYS[1]  shop:{s}:events  stream with the group
-- ARGV[1]  group
-- ARGV[2…] event ids
-- Returns nothing.

redis.call('XACK', KEYS[1], unpack(ARGV))
redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
return nil

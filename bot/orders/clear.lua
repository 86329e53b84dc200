-- Forget documents of an earlier import.
--
-- KEYS[1]  shop:{s}:index  set of the keys that an import clears
-- KEYS[2…] the documents to delete
-- Returns nothing.

redis.call('DEL', unpack(KEYS, 2))
redis.call('SREM', KEYS[1], unpack(KEYS, 2))
return nil

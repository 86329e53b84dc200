-- Read what was wanted too late.
--
-- KEYS[1]  chat:{c}:proposal:<id>:late   stream
-- Returns  {{id, {field, value, …}}, …}, oldest first

return redis.call('XRANGE', KEYS[1], '-', '+')

-- Write a field once more as it is, so that an answer which was only read is as durable as one that was written.
--
-- KEYS[1]  a hash
-- ARGV[1]  a field of it
--
-- Returns  the field's value, or nothing: it is not there

local value = redis.call('HGET', KEYS[1], ARGV[1])
if value then
  redis.call('HSET', KEYS[1], ARGV[1], value)
end
return value

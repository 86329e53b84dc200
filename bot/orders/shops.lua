-- The shops there are.
--
-- KEYS[1]  shops  set of shop ids
-- ARGV[1]  optional: an id to add first
-- Returns the ids in no order.

if ARGV[1] then
  redis.call('SADD', KEYS[1], ARGV[1])
end
return redis.call('SMEMBERS', KEYS[1])

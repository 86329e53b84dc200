-- Which conversations the desk has taken note of; one step over a hash of any size.
--
-- KEYS[1]  desk:{<shop>}:placed or …:held   hash, conversation -> "<version> <agent, or nothing>"
-- ARGV[1]  where to go on, "0" at first
--
-- Returns  {where to go on, "0" at the end, {conversation, value, …}}

return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 500)

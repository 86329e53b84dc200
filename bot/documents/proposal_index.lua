-- The proposals of one shop, each with the last instant at which it is known to have been open.
--
-- KEYS[1]  desk:{<shop>}:proposals   zset, "<conversation> <proposal>" -> Unix ms
-- ARGV[1]  "add", "since" or "remove"
-- add:     ARGV[2] a member; ARGV[3] its ms (a later one that is there already stays); ARGV[4] members before this ms
--          are removed, ARGV[5] of them at most, the oldest first: nobody has to wait for the removal of a backlog
-- since:   ARGV[2] ms; ARGV[3] how many of the members from that ms on to pass over; ARGV[4] how many to return at most
-- remove:  ARGV[2…] members
--
-- Returns  how many were removed, or {member, ms, member, ms, …} in rising order

if ARGV[1] == 'since' then
  return redis.call('ZRANGE', KEYS[1], ARGV[2], '+inf', 'BYSCORE', 'LIMIT', ARGV[3], ARGV[4], 'WITHSCORES')
end
if ARGV[1] == 'remove' then
  return redis.call('ZREM', KEYS[1], unpack(ARGV, 2))
end
redis.call('ZADD', KEYS[1], 'GT', ARGV[3], ARGV[2])
local old = math.min(redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[4]), tonumber(ARGV[5]))
return old > 0 and redis.call('ZREMRANGEBYRANK', KEYS[1], 0, old - 1) or 0

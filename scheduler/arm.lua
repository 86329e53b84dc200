-- Arms one timer, or moves it; voids the lease on it, so that whoever handles it now can't remove it.
--
-- KEYS[1]  timers:{bucket}         zset, timer id -> the instant it fires next, Unix ms
-- KEYS[2]  timers:{bucket}:leases  hash, timer id -> "<due, Unix ms>:<token>" of its claimer
-- KEYS[3]  alarm:{bucket}          key that expires at the bucket's earliest instant, or before it
-- ARGV[1]  timer id
-- ARGV[2]  due, Unix ms
-- ARGV[3]  channel that tells sleepers of a new earliest instant
-- ARGV[4]  what to tell them: the bucket
-- ARGV[5]  how far ahead, ms, an instant is news: a later one is found by everybody's next sweep anyway
--
-- Returns 1 when the timer became the earliest of its bucket, else 0. Three commands when it did not.

local earliest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
if earliest[2] and tonumber(earliest[2]) <= tonumber(ARGV[2]) then
  return 0
end
-- PXAT takes positive instants only; one in the past is fine, as the sleepers are told anyway.
local expires = tonumber(ARGV[2]) > 0 and ARGV[2] or '1'
redis.call('SET', KEYS[3], ARGV[2], 'PXAT', expires)
local time = redis.call('TIME')
if tonumber(ARGV[2]) - (time[1] * 1000 + time[2] / 1000) < tonumber(ARGV[5]) then
  redis.call('PUBLISH', ARGV[3], ARGV[4])
end
return 1

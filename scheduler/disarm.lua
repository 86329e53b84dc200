-- Removes one timer and the lease on it; an unknown id is harmless. The alarm stays: a sweep for nothing corrects it.
--
-- KEYS[1]  timers:{bucket}         zset, timer id -> the instant it fires next, Unix ms
-- KEYS[2]  timers:{bucket}:leases  hash, timer id -> "<due, Unix ms>:<token>" of its claimer
-- ARGV[1]  timer id
--
-- Returns 1 when the timer was there, else 0.

redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])

-- Removes claimed timers, each only while the lease on it is still the claimer's own.
--
-- KEYS[1]  timers:{bucket}         zset, timer id -> the instant it fires next, Unix ms
-- KEYS[2]  timers:{bucket}:leases  hash, timer id -> "<due, Unix ms>:<token>" of its claimer
-- ARGV     timer id, lease, timer id, lease, ... as claim_due.lua gave them
--
-- Returns how many were removed.

local removed = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('ZREM', KEYS[1], ARGV[i])
    removed = removed + 1
  end
end
return removed

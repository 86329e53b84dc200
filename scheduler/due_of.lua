-- When a timer is due; while it is leased, when it was due first.
--
-- KEYS[1]  timers:{bucket}         zset, timer id -> the instant it fires next, Unix ms
-- KEYS[2]  timers:{bucket}:leases  hash, timer id -> "<due, Unix ms>:<token>" of its claimer
-- ARGV[1]  timer id
--
-- Returns the instant in Unix ms as a string, or nil when there is no such timer.

local lease = redis.call('HGET', KEYS[2], ARGV[1])
if lease then return string.match(lease, '^[^:]+') end
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
return score and string.format('%.0f', tonumber(score))

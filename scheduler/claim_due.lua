-- Leases the timers of a bucket that are due: each moves to now + lease, where it fires again unless it is done by then.
-- Time is this server's; nothing is written when nothing is due and the alarm is right.
--
-- KEYS[1]  timers:{bucket}         zset, timer id -> the instant it fires next, Unix ms
-- KEYS[2]  timers:{bucket}:leases  hash, timer id -> "<due, Unix ms>:<token>" of its claimer
-- KEYS[3]  alarm:{bucket}          key that expires at the bucket's earliest instant, or before it
-- ARGV[1]  at most so many
-- ARGV[2]  lease, ms
-- ARGV[3]  token, unique to this call
--
-- Returns {now, earliest instant left (leased ones too) or -1, {timer id, lease, timer id, lease, ...}}, instants in
-- Unix ms, earliest due first. A lease is the new value in KEYS[2].

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local again = string.format('%.0f', now + ARGV[2])
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'WITHSCORES', 'LIMIT', 0, ARGV[1])

local claims, scores, leases = {}, {}, {}
for i = 1, #due, 2 do
  local id, instant = due[i], string.format('%.0f', tonumber(due[i + 1]))
  local lapsed = redis.call('HGET', KEYS[2], id)
  -- Somebody claimed it and was not done in time: it is still due when it was due first.
  if lapsed then instant = string.match(lapsed, '^[^:]+') end
  local lease = instant .. ':' .. ARGV[3]
  claims[i], claims[i + 1] = id, lease
  scores[i], scores[i + 1] = again, id
  leases[i], leases[i + 1] = id, lease
end
-- unpack is bounded by Lua's stack; the caller keeps ARGV[1] small enough (1000).
if #claims > 0 then
  redis.call('ZADD', KEYS[1], unpack(scores))
  redis.call('HSET', KEYS[2], unpack(leases))
end

local earliest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if not earliest then return {now, -1, claims} end
earliest = tonumber(earliest)
local alarm = string.format('%.0f', earliest)
if earliest > now and redis.call('GET', KEYS[3]) ~= alarm then
  redis.call('SET', KEYS[3], alarm, 'PXAT', alarm)
end
return {now, earliest, claims}

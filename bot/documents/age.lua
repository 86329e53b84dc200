-- How old a conversation is, and what was settled in it: what may have to be removed.
--
-- KEYS[1]  chat:{c}           hash: v, b, seq, and marks outside the version
-- KEYS[2]  chat:{c}:log       stream of entries, ids <seq>-0, each with "at", server time in ms
-- KEYS[3]  chat:{c}:settled   zset, proposal -> server time in ms when it was settled
-- ARGV[1]  how many of the settled proposals at most
--
-- Returns  nothing where there is no such conversation, else {now_ms, {v, b, seq, cards}, ms of the newest entry (0 = the
--          log is empty), how many settled proposals there are, {proposal, ms, …} of the longest settled, in rising order}

local document = redis.call('HMGET', KEYS[1], 'v', 'b', 'seq', 'cards')
if not document[1] then
  return false
end
local time = redis.call('TIME')
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return {
  time[1] * 1000 + math.floor(time[2] / 1000),
  document,
  newest and tonumber(newest[2][2]) or 0,
  redis.call('ZCARD', KEYS[3]),
  redis.call('ZRANGE', KEYS[3], 0, ARGV[1] - 1, 'WITHSCORES'),
}

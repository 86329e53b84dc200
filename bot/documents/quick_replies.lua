-- Lists of quick replies: read some, or write one whole, unless somebody did meanwhile.
--
-- KEYS[1…]  desk:{s}:quick:shop or desk:{s}:quick:<role>:<id>   hash: v (version), b (JSON list); one to write
-- ARGV      none to read, otherwise
-- ARGV[1]   the version that the new list was decided on (0 = absent)
-- ARGV[2]   the new list, which gets the next version
-- ARGV[3]   the channel of those whose list it is
-- ARGV[4]   what they are told, a JSON frame; it is published as "- 0 <now_ms> <JSON>"
--
-- Returns   {v or nil, b or nil} for each key | "ok" | "stale", and nothing was written

if not ARGV[1] then
  local lists = {}
  for i, key in ipairs(KEYS) do
    lists[i] = redis.call('HMGET', key, 'v', 'b')
  end
  return lists
end
if (redis.call('HGET', KEYS[1], 'v') or '0') ~= ARGV[1] then
  return 'stale'
end
redis.call('HINCRBY', KEYS[1], 'v', 1)
redis.call('HSET', KEYS[1], 'b', ARGV[2])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('PUBLISH', ARGV[3], '- 0 ' .. now .. ' ' .. ARGV[4])
return 'ok'

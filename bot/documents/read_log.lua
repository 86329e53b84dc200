-- Read a stretch of a conversation's log, and where the log stands.
--
-- KEYS[1]  chat:{c}       hash: v, b, seq, and marks outside the version
-- KEYS[2]  chat:{c}:log   stream of entries, ids <seq>-0
-- ARGV[1]  "after" or "before"
-- ARGV[2]  the seq after which (upwards) or before which (downwards) to read
-- ARGV[3]  how many entries at most
--
-- Returns  {now_ms, {field, value, …} of KEYS[1], oldest seq kept (0 = none),
--           {{"<seq>-0", {"at", ms, "e", JSON, "for", flags}}, …} in rising order}

local time = redis.call('TIME')
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
local entries
if ARGV[1] == 'after' then
  entries = redis.call('XRANGE', KEYS[2], '(' .. ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])
else
  local newest_first = redis.call('XREVRANGE', KEYS[2], '(' .. ARGV[2] .. '-0', '-', 'COUNT', ARGV[3])
  entries = {}
  for i = #newest_first, 1, -1 do
    entries[#entries + 1] = newest_first[i]
  end
end
return {
  time[1] * 1000 + math.floor(time[2] / 1000),
  redis.call('HGETALL', KEYS[1]),
  first[1] and tonumber(string.match(first[1][1], '^%d+')) or 0,
  entries,
}

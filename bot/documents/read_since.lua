-- The first entries of a log that are not older than an instant.
--
-- KEYS[1]  chat:{c}:log   stream of entries, ids <seq>-0 without gaps
-- ARGV[1]  the instant, server time in ms
-- ARGV[2]  how many entries at most
--
-- Returns  {{"<seq>-0", {"at", ms, "e", JSON, "for", flags}}, …} in rising order

local since = tonumber(ARGV[1])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not first then
  return {}
end

local function seq(entry) return tonumber(string.match(entry[1], '^%d+')) end
local function id(number) return string.format('%.0f-0', number) end

-- Seqs rise with time: the wanted one is from low to high.
local low, high = seq(first), seq(last) + 1
while low < high do
  local middle = math.floor((low + high) / 2)
  local at = redis.call('XRANGE', KEYS[1], id(middle), id(middle))[1][2][2]
  if tonumber(at) < since then
    low = middle + 1
  else
    high = middle
  end
end
return redis.call('XRANGE', KEYS[1], id(low), '+', 'COUNT', ARGV[2])

-- The newest entries of a log that are not older than an instant.
--
-- KEYS[1]  chat:{c}:log   stream of entries, ids <seq>-0
-- ARGV[1]  the instant, server time in ms
-- ARGV[2]  how many entries at most
--
-- Returns  {{"<seq>-0", {"at", ms, "e", JSON, "for", flags}}, …} in falling order

local since, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local entries, below = {}, '+'
while #entries < most do
  local page = redis.call('XREVRANGE', KEYS[1], below, '-', 'COUNT', 20)
  for _, entry in ipairs(page) do
    if tonumber(entry[2][2]) < since or #entries == most then
      return entries
    end
    entries[#entries + 1] = entry
  end
  if #page < 20 then
    return entries
  end
  below = '(' .. page[20][1]
end
return entries

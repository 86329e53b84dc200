-- One side has read up to an entry. A mark only moves forward.
--
-- KEYS[1]  chat:{c}       hash: v, seq, and marks outside the version: read:<side>, unread:<side>
-- KEYS[2]  chat:{c}:log   stream of entries, ids <seq>-0, each with flags under "for"
-- ARGV[1]  the side, "agent" or "buyer"
-- ARGV[2]  the seq; beyond the log's end it means the end
-- ARGV[3]  the flag of entries that are unread for this side
-- ARGV[4]  the conversation's version that the channels are of
-- ARGV[5]  the conversation, for what is published
-- ARGV[6…] channels: each is told "<conversation> 0 <now_ms> <JSON>" if the mark moved
--
-- Returns  {the mark, how many entries are unread after it, the log's last seq}, or nothing where the version is another

if redis.call('HGET', KEYS[1], 'v') ~= ARGV[4] then
  return false
end
local time = redis.call('TIME')
local last = tonumber(redis.call('HGET', KEYS[1], 'seq') or '0')
local before = tonumber(redis.call('HGET', KEYS[1], 'read:' .. ARGV[1]) or '0')
local mark = math.min(tonumber(ARGV[2]), last)
if mark <= before then
  if before > 0 then
    redis.call('HSET', KEYS[1], 'read:' .. ARGV[1], string.format('%.0f', before))  -- so that replicas are waited for
  end
  return {before, tonumber(redis.call('HGET', KEYS[1], 'unread:' .. ARGV[1]) or '0'), last}
end
local unread = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. string.format('%.0f', mark) .. '-0', '+')) do
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'for' and string.find(fields[i + 1], ARGV[3], 1, true) then
      unread = unread + 1
    end
  end
end
local mark_text, last_text = string.format('%.0f', mark), string.format('%.0f', last)
redis.call('HSET', KEYS[1], 'read:' .. ARGV[1], mark_text, 'unread:' .. ARGV[1], unread)
local sign = '{"type":"read","conversation_id":"' .. ARGV[5] .. '","by":"' .. ARGV[1] .. '","seq":' .. mark_text
  .. ',"unread":' .. unread .. ',"last_seq":' .. last_text .. '}'
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for i = 6, #ARGV do
  redis.call('PUBLISH', ARGV[i], ARGV[5] .. ' 0 ' .. now .. ' ' .. sign)
end
return {mark, unread, last}

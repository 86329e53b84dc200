-- Read, in one trip, all that one decision needs.
--
-- KEYS[1]  chat:{c}            hash: v, b, seq, and marks outside the version
-- KEYS[2]  chat:{c}:replies    hash of the replies already given, by command id
-- KEYS[3…] chat:{c}:hold:<order> (their open proposals are read too) or chat:{c}:proposal:<id>
-- ARGV[1]  command id, or ""
-- ARGV[2]  how many of KEYS[3…] are holds; the rest are proposals
-- ARGV[3]  the prefix of proposal keys, chat:{c}:proposal:
--
-- Returns  {now_ms, {v, b, seq, asked, warned, overdue, cards}, reply or nil,
--           {proposal id or nil, v, b} for each of KEYS[3…]}

local time = redis.call('TIME')
local loaded = {
  time[1] * 1000 + math.floor(time[2] / 1000),
  redis.call('HMGET', KEYS[1], 'v', 'b', 'seq', 'asked', 'warned', 'overdue', 'cards'),
  ARGV[1] ~= '' and redis.call('HGET', KEYS[2], ARGV[1]),
}
for i = 3, #KEYS do
  local id, key = false, KEYS[i]
  if i - 2 <= tonumber(ARGV[2]) then
    id = redis.call('GET', key)
    key = id and ARGV[3] .. id
  else
    id = string.sub(key, #ARGV[3] + 1)
  end
  local document = key and redis.call('HMGET', key, 'v', 'b') or {false, false}
  loaded[i + 1] = {id, document[1], document[2]}
end
return loaded

-- Write one decision whole, or nothing.
--
-- KEYS[1]  chat:{c}            hash: v (version), b (body), seq and at (the log's last seq, and its entry's instant),
--                              and marks outside the version: unread:agent, unread:buyer, line (seq of the last line),
--                              and those of the list below
-- KEYS[2]  chat:{c}:log        stream of entries, ids <seq>-0: at (ms), e (JSON), for (flags)
-- KEYS[3]  chat:{c}:replies    hash: command id -> "<n> <digest> <last seq> <reply>"; "#" -> n; "#<n>" -> command id
-- KEYS[4]  chat:{c}:settled    zset, proposal that is settled -> server time in ms when it was
-- KEYS[5…] the documents (hashes: v, b) and holds (strings) that the lists below point at, by their index in KEYS
--
-- ARGV     read from left to right; a list is its count, then its items:
--   not_before, not_after      server time in ms: refuse unless not_before <= now < not_after ("" = no bound)
--   command, digest, reply     remember this reply under this command id ("" = nothing to remember)
--   keep_replies, keep_entries how many replies and how many entries stay
--   settled                    the proposal that is settled by this ("" = none)
--   documents                  list of (key, expected version (0 = absent), new version (0 = only checked), body)
--   holds                      list of (key, expected value ("" = absent), new value ("" = removed))
--   marks                      list of (verb, field of KEYS[1], value, where "now" is the server's time in ms):
--                              must: refuse unless the field is that ("" = absent); set; once: set unless it is there;
--                              again: set if it is there; drop; add: a number (0 = drop)
--   entries                    list of (flags, JSON text): a = unread for the agent, b = unread for the buyer, l = a line
--   channels                   list of channels; each entry is published on each as
--                              "<conversation> <seq> <at_ms> <before_ms> <JSON>": before_ms is the at_ms of the entry
--                              before it (0 = none, or not known), so that whoever has another one there learns of it
--   conversation               its id, for what is published
--
-- Returns  {"ok", now_ms, last_seq} | {"stale", now_ms} | {"known", digest, last_seq, reply}

local next_arg = 0
local function take()
  next_arg = next_arg + 1
  return ARGV[next_arg]
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)

local not_before, not_after = take(), take()
local command, digest, reply = take(), take(), take()
local keep_replies, keep_entries = tonumber(take()), take()
local settled = take()

if command ~= '' then
  local known = redis.call('HGET', KEYS[3], command)
  if known then
    -- Written once more: who waits for replicas waits for what this connection wrote.
    redis.call('HSET', KEYS[3], command, known)
    local known_digest, seq, text = string.match(known, '^%d+ (%S+) (%d+) (.*)$')
    return {'known', known_digest, tonumber(seq), text}
  end
end
if (not_before ~= '' and now < tonumber(not_before)) or (not_after ~= '' and now >= tonumber(not_after)) then
  return {'stale', now}
end

local documents = {}
for i = 1, tonumber(take()) do
  local document = {key = KEYS[tonumber(take())], expected = take(), version = take(), body = take()}
  if (redis.call('HGET', document.key, 'v') or '0') ~= document.expected then
    return {'stale', now}
  end
  documents[i] = document
end
local holds = {}
for i = 1, tonumber(take()) do
  local hold = {key = KEYS[tonumber(take())], expected = take(), value = take()}
  if (redis.call('GET', hold.key) or '') ~= hold.expected then
    return {'stale', now}
  end
  holds[i] = hold
end

local marks = {}
for i = 1, tonumber(take()) do
  local mark = {verb = take(), field = take(), value = take()}
  if mark.value == 'now' then
    mark.value = now_text
  end
  if mark.verb == 'must' and (redis.call('HGET', KEYS[1], mark.field) or '') ~= mark.value then
    return {'stale', now}
  end
  marks[i] = mark
end

for _, document in ipairs(documents) do
  if document.version ~= '0' then
    redis.call('HSET', document.key, 'v', document.version, 'b', document.body)
  end
end
for _, hold in ipairs(holds) do
  if hold.value == '' then
    redis.call('DEL', hold.key)
  else
    redis.call('SET', hold.key, hold.value)
  end
end
if settled ~= '' then
  redis.call('ZADD', KEYS[4], now_text, settled)
end

for _, mark in ipairs(marks) do
  if mark.verb == 'set' or (mark.verb == 'again' and redis.call('HEXISTS', KEYS[1], mark.field) == 1) then
    redis.call('HSET', KEYS[1], mark.field, mark.value)
  elseif mark.verb == 'once' then
    redis.call('HSETNX', KEYS[1], mark.field, mark.value)
  elseif mark.verb == 'drop' then
    redis.call('HDEL', KEYS[1], mark.field)
  elseif mark.verb == 'add' then
    if redis.call('HINCRBY', KEYS[1], mark.field, mark.value) == 0 then
      redis.call('HDEL', KEYS[1], mark.field)
    end
  end
end

local entries, channels = {}, {}
for i = 1, tonumber(take()) do entries[i] = {flags = take(), body = take()} end
for i = 1, tonumber(take()) do channels[i] = take() end
local conversation = take()
local last = redis.call('HMGET', KEYS[1], 'seq', 'at')
local seq, before = tonumber(last[1] or '0'), last[2] or '0'
for _, entry in ipairs(entries) do
  seq = seq + 1
  redis.call('HSET', KEYS[1], 'seq', seq, 'at', now_text)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', keep_entries, seq .. '-0', 'at', now_text, 'e', entry.body, 'for', entry.flags)
  if string.find(entry.flags, 'a', 1, true) then
    redis.call('HINCRBY', KEYS[1], 'unread:agent', 1)
  end
  if string.find(entry.flags, 'b', 1, true) then
    redis.call('HINCRBY', KEYS[1], 'unread:buyer', 1)
  end
  if string.find(entry.flags, 'l', 1, true) then
    redis.call('HSET', KEYS[1], 'line', seq)
  end
  local message = conversation .. ' ' .. seq .. ' ' .. now_text .. ' ' .. before .. ' ' .. entry.body
  before = now_text
  for _, channel in ipairs(channels) do
    redis.call('PUBLISH', channel, message)
  end
end

if command ~= '' then
  local n = redis.call('HINCRBY', KEYS[3], '#', 1)
  redis.call('HSET', KEYS[3], command, n .. ' ' .. digest .. ' ' .. seq .. ' ' .. reply, '#' .. n, command)
  local surplus = n - keep_replies
  local old = redis.call('HGET', KEYS[3], '#' .. surplus)
  while old do
    redis.call('HDEL', KEYS[3], old, '#' .. surplus)
    surplus = surplus - 1
    old = redis.call('HGET', KEYS[3], '#' .. surplus)
  end
end
return {'ok', now, seq}

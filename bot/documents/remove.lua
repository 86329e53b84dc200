-- Remove proposals that were settled long ago, and with them the whole conversation, if it is still as it was read.
--
-- KEYS[1]  chat:{c}            hash: v, seq, cards (how many are open), …
-- KEYS[2]  chat:{c}:settled    zset, proposal -> server time in ms when it was settled
-- KEYS[3]  chat:{c}:log       stream of entries, each with "at", server time in ms
-- KEYS[4]  chat:{c}:replies
-- KEYS[5…] chat:{c}:proposal:<id> and chat:{c}:proposal:<id>:late of each of the proposals
-- ARGV[1]  the conversation's version as it was read, or "": it stays
-- ARGV[2]  its last seq as it was read
-- ARGV[3]  when its newest entry was, as it was read: one made anew may have the same version and seq by now
-- ARGV[4…] the proposals; what is settled stays so (they need no version), and none of another kind is removed
--
-- Returns  1, or 0 where the conversation is another by now: then nothing is removed

if ARGV[1] ~= '' then
  local now = redis.call('HMGET', KEYS[1], 'v', 'seq', 'cards')
  local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
  if now[1] ~= ARGV[1] or (now[2] or '0') ~= ARGV[2] or now[3] or (newest and newest[2][2] ~= ARGV[3]) then
    return 0
  end
end
for i = 4, #ARGV do
  if redis.call('ZREM', KEYS[2], ARGV[i]) == 1 then
    redis.call('UNLINK', KEYS[2 * i - 3], KEYS[2 * i - 2])
  end
end
if ARGV[1] ~= '' then
  redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4])
end
return 1

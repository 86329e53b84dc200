-- People of one role in one shop, by id.
--
-- KEYS[1]  people:{s}:agents or people:{s}:buyers   hash: id → name
-- ARGV[1]  optional: an id
-- Returns that person's name or nil; without an id everybody, as {id, name, id, name, …}.

if ARGV[1] then
  return redis.call('HGET', KEYS[1], ARGV[1])
end
return redis.call('HGETALL', KEYS[1])

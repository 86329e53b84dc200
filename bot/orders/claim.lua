-- Events that a consumer took and never acknowledged become this consumer's; consumers long gone are forgotten.
--
-- KEYS[1]  shop:{s}:events  stream with the group
-- ARGV[1]  group
-- ARGV[2]  this consumer
-- ARGV[3]  how long (ms) an event must have waited for its acknowledgement
-- ARGV[4]  where to go on: '0-0', or the cursor returned last
-- ARGV[5]  how many at most
-- ARGV[6]  how long (ms) a consumer that owes nothing must have been silent to be forgotten
-- Returns {cursor, {{id, {field, value, …}}, …}}; a cursor of '0-0' says that this was the end.

local claimed = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local is = {}
  for i = 1, #consumer, 2 do
    is[consumer[i]] = consumer[i + 1]
  end
  if is.pending == 0 and is.idle > tonumber(ARGV[6]) and is.name ~= ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], is.name)
  end
end
return { claimed[1], claimed[2] }

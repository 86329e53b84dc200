-- How a conversation stands, and its last line.
--
-- KEYS[1]  chat:{c}       hash: v, b, seq, and marks outside the version
-- KEYS[2]  chat:{c}:log   stream of entries, ids <seq>-0
--
-- Returns  {{field, value, …} of KEYS[1], {"<seq>-0", {"at", ms, "e", JSON, "for", flags}} or nothing}

local line = redis.call('HGET', KEYS[1], 'line')
local found = line and redis.call('XRANGE', KEYS[2], line .. '-0', line .. '-0')
return {redis.call('HGETALL', KEYS[1]), found and found[1] or false}

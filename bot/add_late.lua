-- Keep that somebody wanted something of a proposal already settled.
--
-- KEYS[1]  chat:{c}:proposal:<id>:late   stream, the last 20
-- ARGV     field, value, …: who wanted what

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('XADD', KEYS[1], 'MAXLEN', 20, '*', 'at_ms', now, unpack(ARGV))

-- Keep that somebody wanted something of a proposal already settled, as long as the proposal is kept.
--
-- KEYS[1]  chat:{c}:proposal:<id>:late   stream, the last 20
-- KEYS[2]  chat:{c}:proposal:<id>        hash
-- ARGV     field, value, …: who wanted what

if redis.call('EXISTS', KEYS[2]) == 1 then
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('XADD', KEYS[1], 'MAXLEN', 20, '*', 'at_ms', now, unpack(ARGV))
end

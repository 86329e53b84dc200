-- Who of these is here.
--
-- KEYS[1]  desk:{<shop>}:present   hash, "<role>:<id>" -> how many gateways vouch for them
-- KEYS[2]  desk:{<shop>}:left      hash, agent -> server time in ms when they last left
-- KEYS[3]  desk:{<shop>}:back      hash, agent -> server time in ms when they last came back
-- ARGV[1]  an agent, or ""
-- ARGV[2…] people, "<role>:<id>"
--
-- Returns  {when that agent left or nothing, when they came back or nothing, 1 or 0 for each of the people}

local here = {redis.call('HGET', KEYS[2], ARGV[1]), redis.call('HGET', KEYS[3], ARGV[1])}
for i = 2, #ARGV do
  here[i + 1] = redis.call('HEXISTS', KEYS[1], ARGV[i])
end
return here

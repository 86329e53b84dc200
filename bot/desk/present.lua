-- Who of these is here, and how it stands with one agent.
--
-- KEYS[1]  desk:{<shop>}:present   hash, "<role>:<id>" -> how many gateways vouch for them
-- KEYS[2]  desk:{<shop>}:left      hash, agent -> server time in ms when they last left
-- KEYS[3]  desk:{<shop>}:back      hash, agent -> server time in ms when they last came back
-- KEYS[4]  desk:{<shop>}:agents    hash, agent -> "online" or "suspended", as they chose
-- ARGV[1]  an agent, or ""
-- ARGV[2…] people, "<role>:<id>"
--
-- Returns  {when that agent left, when they came back, what they chose: each or nothing, 1 or 0 for each of the people}

local here = {}
for i = 2, 4 do
  here[i - 1] = redis.call('HGET', KEYS[i], ARGV[1])
end
for i = 2, #ARGV do
  here[i + 2] = redis.call('HEXISTS', KEYS[1], ARGV[i])
end
return here

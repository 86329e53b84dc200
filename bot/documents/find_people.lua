-- Whose name has a text in it; one step over a hash of any size.
--
-- KEYS[1]  people:{<shop>}:<role>s   hash, id -> name
-- ARGV[1]  where to go on, "0" at first
-- ARGV[2]  the text, in lower case
--
-- Returns  {where to go on, "0" at the end, ids}

local step = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 1000)
local ids = {}
for i = 1, #step[2], 2 do
  if string.find(string.lower(step[2][i + 1]), ARGV[2], 1, true) then
    ids[#ids + 1] = step[2][i]
  end
end
return {step[1], ids}

-- Documents as they are.
--
-- KEYS[…]  any documents of one shop: hashes with a field body
-- Returns their bodies in that order, nil for one that is not there.

local bodies = {}
for i, key in ipairs(KEYS) do
  bodies[i] = redis.call('HGET', key, 'body')
end
return bodies

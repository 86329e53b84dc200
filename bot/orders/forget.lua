-- Forget results of changes, of which nobody will ask any more.
--
-- KEYS[1]  shop:{s}:index        set of the keys that an import clears
-- KEYS[2…] shop:{s}:order:<id>   hash: body, first:<change id>
-- ARGV[…]  a change id for each of these orders
-- Returns nothing.

for i, change in ipairs(ARGV) do
  redis.call('HDEL', KEYS[i + 1], 'first:' .. change)
  if redis.call('EXISTS', KEYS[i + 1]) == 0 then
    redis.call('SREM', KEYS[1], KEYS[i + 1])
  end
end
return nil

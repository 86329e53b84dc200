-- A product and what of it moves: prices, stock, on sale or not.
--
-- KEYS[1]  shop:{s}:product:<id>  hash: body (JSON of what stays), skus (its SKU ids, a space between)
-- KEYS[2]  shop:{s}:skus          hash: <sku>.price, <sku>.stock, <sku>.sale ('1' or '0')
-- Returns nil when there is no such product, else {body, {price, stock, sale of each SKU in order}}.

local product = redis.call('HMGET', KEYS[1], 'body', 'skus')
if not product[1] then
  return nil
end
local fields = {}
for id in string.gmatch(product[2], '%S+') do
  for _, part in ipairs({ '.price', '.stock', '.sale' }) do
    fields[#fields + 1] = id .. part
  end
end
return { product[1], redis.call('HMGET', KEYS[2], unpack(fields)) }

-- One change of an order's lines: all of them or none, and the first result of a change id for ever.
-- The guards compare what the card showed with what is now; whoever calls decided what may be shown (R2-R6).
--
-- KEYS[1]  shop:{s}:order:<id>   hash: body (JSON of the order), first:<change id> (JSON of its first result)
-- KEYS[2]  shop:{s}:skus         hash: <sku>.product, <sku>.price, <sku>.stock, <sku>.sale ('1' or '0')
-- KEYS[3]  shop:{s}:events       stream: event (JSON), read by the consumer group "assent"
-- KEYS[4]  shop:{s}:index        set of the keys that an import clears
-- ARGV[1]  change id
-- ARGV[2]  '1' when the order was paid on the card, else '0'
-- ARGV[3…] for each line: line id, from SKU, to SKU, expected unit price
-- Returns the result as JSON.

local first = 'first:' .. ARGV[1]
local known = redis.call('HMGET', KEYS[1], first, 'body')
if known[1] then
  redis.call('HSET', KEYS[1], first, known[1])  -- once more: who waits for replicas waits for what this connection wrote
  return known[1]
end

local function keep(taken, reason, version)
  local result = string.format('{"taken":%s,"reason":%s,"order_version":%s}', taken, reason, version)
  redis.call('HSET', KEYS[1], first, result)
  return result
end

if not known[2] then
  redis.call('SADD', KEYS[4], KEYS[1])
  return keep('false', '"order_gone"', 'null')
end

local order = cjson.decode(known[2])
local function refuse(reason)
  return keep('false', '"' .. reason .. '"', order.version)
end

local status = order.status
if status ~= 'unpaid' and status ~= 'paid' then
  return refuse('order_' .. status)
end
if order.after_sale ~= 'none' then
  return refuse('after_sale_opened')
end
if order.deposit_presale then
  return refuse('deposit_presale')
end
if (status == 'paid') ~= (ARGV[2] == '1') then
  return refuse('order_paid')
end

local by_id = {}
for _, line in ipairs(order.lines) do
  by_id[line.id] = line
end

local fields, wanted = {}, {}
for i = 3, #ARGV, 4 do
  local line, to = by_id[ARGV[i]], ARGV[i + 2]
  if not line or line.sku_id ~= ARGV[i + 1] then
    return refuse('lines_changed')
  end
  wanted[to] = (wanted[to] or 0) + line.quantity
  for _, part in ipairs({ '.product', '.price', '.stock', '.sale' }) do
    fields[#fields + 1] = to .. part
  end
end

local sku = redis.call('HMGET', KEYS[2], unpack(fields))
local off_sale, moved, gone = false, false, false
for i = 3, #ARGV, 4 do
  local at = i - 3
  off_sale = off_sale or sku[at + 1] ~= by_id[ARGV[i]].product_id or sku[at + 4] ~= '1'
  moved = moved or tonumber(sku[at + 2] or -1) ~= tonumber(ARGV[i + 3])
  gone = gone or tonumber(sku[at + 3] or 0) < wanted[ARGV[i + 2]]
end
if off_sale then
  return refuse('off_sale')
end
if moved then
  return refuse('price_moved')
end
if gone then
  return refuse('stock_gone')
end

for i = 3, #ARGV, 4 do
  local line = by_id[ARGV[i]]
  redis.call('HINCRBY', KEYS[2], line.sku_id .. '.stock', line.quantity)
  redis.call('HINCRBY', KEYS[2], ARGV[i + 2] .. '.stock', -line.quantity)
  line.sku_id = ARGV[i + 2]
  if status == 'unpaid' then
    line.unit_price_cents = tonumber(ARGV[i + 3])
  end
end
order.version = order.version + 1
redis.call('HSET', KEYS[1], 'body', cjson.encode(order))
redis.call('XADD', KEYS[3], '*', 'event', cjson.encode({
  shop_id = order.shop_id,
  order_id = order.id,
  buyer_id = order.buyer_id,
  kind = 'lines_changed',
  version = order.version,
  change_id = ARGV[1],
}))
return keep('true', 'null', order.version)

-- One move of an order (paid, shipped, …): the order, its version, the stock it gives back and the event, in one step.
--
-- KEYS[1]  shop:{s}:order:<id>   hash: body (JSON of the order)
-- KEYS[2]  shop:{s}:skus         hash: <sku>.stock, …
-- KEYS[3]  shop:{s}:events       stream: event (JSON)
-- ARGV[1]  the move as JSON: kind of its event; status and after_sale, each a map from what the order may have now to
--          what it has afterwards; restock, whether its pieces go back to stock
-- Returns {1, order as JSON} when it moved, {0, order as JSON} when the move is not legal now, nil when there is no order.

local body = redis.call('HGET', KEYS[1], 'body')
if not body then
  return nil
end
local order, move = cjson.decode(body), cjson.decode(ARGV[1])
local status, after_sale = move.status[order.status], move.after_sale[order.after_sale]
if not status or not after_sale then
  return { 0, body }
end

order.status, order.after_sale, order.version = status, after_sale, order.version + 1
if move.restock then
  for _, line in ipairs(order.lines) do
    redis.call('HINCRBY', KEYS[2], line.sku_id .. '.stock', line.quantity)
  end
end
body = cjson.encode(order)
redis.call('HSET', KEYS[1], 'body', body)
redis.call('XADD', KEYS[3], '*', 'event', cjson.encode({
  shop_id = order.shop_id,
  order_id = order.id,
  buyer_id = order.buyer_id,
  kind = move.kind,
  version = order.version,
}))
return { 1, body }

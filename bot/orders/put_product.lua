-- One product of an import: what stays of it, and its SKUs.
--
-- KEYS[1]  shop:{s}:product:<id>  hash: body, skus
-- KEYS[2]  shop:{s}:skus          hash: <sku>.product, <sku>.price, <sku>.stock, <sku>.sale ('1' or '0')
-- KEYS[3]  shop:{s}:index         set of the keys that an import clears
-- ARGV[1]  JSON of what stays: id, title, the SKUs' ids and options
-- ARGV[2]  the SKU ids, a space between
-- ARGV[3…] fields and values of KEYS[2]
-- Returns nothing.

redis.call('HSET', KEYS[1], 'body', ARGV[1], 'skus', ARGV[2])
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
redis.call('SADD', KEYS[3], KEYS[1], KEYS[2])
return nil

-- Publish one message.
--
-- ARGV[1]  channel
-- ARGV[2]  message
--
-- Returns  how many connections of this node took it

return redis.call('PUBLISH', ARGV[1], ARGV[2])

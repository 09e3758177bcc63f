-- ARGV: request id. Returns its answer or nothing.
local key = redis.call('HGET', ids, ARGV[1])
return key and redis.call('GET', base .. 'answer:' .. key)

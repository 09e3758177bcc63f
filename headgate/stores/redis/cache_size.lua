-- ARGV: now (ms). Returns entries, bytes and how many were dropped for room so far.
for _, old in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', ARGV[1], 'LIMIT', 0, 1000)) do
  drop(old)
end
return {redis.call('HLEN', meta), tonumber(redis.call('HGET', state, 'bytes') or '0'),
  tonumber(redis.call('HGET', state, 'evicted') or '0')}

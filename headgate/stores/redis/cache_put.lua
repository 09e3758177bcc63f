-- ARGV: key, answer, what is known of it, bytes, value, milliseconds to live, request id, now (ms), most entries, most
-- bytes. Returns entries, bytes and how many were dropped for room so far.
local key, bytes, now = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[8])
local count = tonumber(redis.call('HGET', hits, key) or '0') + 1
drop(key)
redis.call('SET', base .. 'answer:' .. key, ARGV[2], 'PX', ARGV[6])
redis.call('HSET', meta, key, ARGV[3])
redis.call('HSET', hits, key, count)
redis.call('HSET', value, key, ARGV[5])
redis.call('HSET', ids, ARGV[7], key)
redis.call('ZADD', expiry, now + tonumber(ARGV[6]), key)
redis.call('HINCRBY', state, 'bytes', bytes)
rate(key, count)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, 100)) do
  drop(old)
end
local most_entries, most_bytes, dropped = tonumber(ARGV[9]), tonumber(ARGV[10]), 0
while dropped < 1000 do
  local entries, total = redis.call('HLEN', meta), tonumber(redis.call('HGET', state, 'bytes'))
  if entries <= most_entries and total <= most_bytes then break end
  local least = redis.call('ZPOPMIN', worth)
  if #least == 0 then break end
  redis.call('HSET', state, 'clock', least[2])
  drop(least[1])
  dropped = dropped + 1
end
if dropped > 0 then redis.call('HINCRBY', state, 'evicted', dropped) end
return {redis.call('HLEN', meta), tonumber(redis.call('HGET', state, 'bytes')),
  tonumber(redis.call('HGET', state, 'evicted') or '0')}

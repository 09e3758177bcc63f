-- KEYS[1]: the prefix of all keys of sessions. ARGV: session, model, milliseconds to live, now (ms), most sessions, and
-- the models that are not replaced. The model of each is in a hash, when it ends in a sorted set.
local models, ends = KEYS[1] .. 'models', KEYS[1] .. 'ends'
local session, lives, now = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local function drop(one)
  redis.call('HDEL', models, one)
  redis.call('ZREM', ends, one)
end
for _, over in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 10)) do drop(over) end
if #ARGV > 5 and tonumber(redis.call('ZSCORE', ends, session) or '0') > now then
  local model = redis.call('HGET', models, session)
  for place = 6, #ARGV do
    if ARGV[place] == model then return end
  end
end
redis.call('HSET', models, session, ARGV[2])
redis.call('ZADD', ends, now + lives, session)
if redis.call('HLEN', models) > tonumber(ARGV[5]) then drop(redis.call('ZRANGE', ends, 0, 0)[1]) end
for _, key in ipairs({models, ends}) do
  if redis.call('PTTL', key) < lives then redis.call('PEXPIRE', key, ARGV[3]) end
end

-- What the scripts of the cache share. KEYS[1] is the prefix of all keys of the cache, which are in one slot.
-- Beside each answer (a string that expires) there is what is known of it (meta), how worthy it is (worth), when it
-- expires (expiry), how often it was asked for (hits) and what a hit saves for each byte (value).
local base = KEYS[1]
local meta, worth, expiry = base .. 'meta', base .. 'worth', base .. 'expiry'
local hits, value, ids, state = base .. 'hits', base .. 'value', base .. 'ids', base .. 'state'

local function drop(key)
  local known = redis.call('HGET', meta, key)
  if not known then
    redis.call('ZREM', worth, key)
    redis.call('ZREM', expiry, key)
    return
  end
  local told = cmsgpack.unpack(known)
  redis.call('DEL', base .. 'answer:' .. key)
  redis.call('HDEL', meta, key)
  redis.call('ZREM', worth, key)
  redis.call('ZREM', expiry, key)
  redis.call('HDEL', hits, key)
  redis.call('HDEL', value, key)
  if redis.call('HGET', ids, told[2]) == key then
    redis.call('HDEL', ids, told[2])
  end
  redis.call('HINCRBY', state, 'bytes', -told[1])
end

local function rate(key, count)
  local clock = tonumber(redis.call('HGET', state, 'clock') or '0')
  local each = tonumber(redis.call('HGET', value, key) or '0')
  redis.call('ZADD', worth, string.format('%.17g', clock + count * each), key)
end

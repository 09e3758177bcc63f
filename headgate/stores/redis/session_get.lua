-- KEYS[1]: the prefix of all keys of sessions. ARGV: session, now (ms). Returns its model or nothing.
local ends = redis.call('ZSCORE', KEYS[1] .. 'ends', ARGV[1])
return ends and tonumber(ends) > tonumber(ARGV[2]) and redis.call('HGET', KEYS[1] .. 'models', ARGV[1])

-- Adds a message, at once or when its delay is over. KEYS: stream, delayed, sent. ARGV: dedupe id, for how long it is
-- remembered (s), delay (ms), names and values of fields. Returns 1, or 0 for a message that was sent before.
local stream, delayed, sent = KEYS[1], KEYS[2], KEYS[3]
local fields = {}
for index = 4, #ARGV do fields[#fields + 1] = ARGV[index] end
if ARGV[1] ~= '' and not redis.call('SET', sent .. ARGV[1], '1', 'NX', 'EX', ARGV[2]) then return 0 end
local delay = tonumber(ARGV[3])
if delay <= 0 then
  redis.call('XADD', stream, '*', unpack(fields))
  return 1
end
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + delay
-- Two messages that say the same are two members, because each has a number of its own.
redis.call('ZADD', delayed, due, cmsgpack.pack({redis.call('INCR', delayed .. ':number'), fields}))
return 1

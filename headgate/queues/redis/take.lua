-- Makes the group, lets delayed messages in whose time has come, and takes what others let go. KEYS: stream, delayed.
-- ARGV: group, consumer, lease (ms), most messages. Returns the milliseconds until the next delayed message (-1: none),
-- and of each message its id, its fields, and how often it was delivered.
local stream, delayed, group = KEYS[1], KEYS[2], ARGV[1]
redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('XADD', stream, '*', unpack(cmsgpack.unpack(member)[2]))
  redis.call('ZREM', delayed, member)
end
local next = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
local due = next[2] and math.max(0, tonumber(next[2]) - now) or -1
local taken = {}
if tonumber(ARGV[4]) > 0 then
  local claimed = redis.call('XAUTOCLAIM', stream, group, ARGV[2], ARGV[3], '0-0', 'COUNT', ARGV[4])
  for _, entry in ipairs(claimed[2]) do
    if entry then
      local pending = redis.call('XPENDING', stream, group, entry[1], entry[1], 1)
      taken[#taken + 1] = {entry[1], entry[2], pending[1] and pending[1][4] or 1}
    end
  end
end
return {due, taken}

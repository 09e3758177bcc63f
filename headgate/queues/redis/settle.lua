-- Ends deliveries that still are the consumer's own. KEYS: stream, delayed. ARGV: what is done (ack, extend, release),
-- group, consumer, delay (ms), ids, each followed by '' or, for a release, its fields as MessagePack. Returns how many.
-- What is done with is deleted if no other group reads the stream.
local stream, delayed, what, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', stream) == 0 then return 0 end
local alone = #redis.call('XINFO', 'GROUPS', stream) <= 1
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4])
local count = 0
for index = 5, #ARGV, 2 do
  local id = ARGV[index]
  local mine = redis.pcall('XPENDING', stream, group, id, id, 1, consumer)
  if not mine.err and #mine > 0 then
    count = count + 1
    if what == 'extend' then
      redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
    else
      if what == 'release' then
        local fields = cmsgpack.unpack(ARGV[index + 1])
        if tonumber(ARGV[4]) <= 0 then
          redis.call('XADD', stream, '*', unpack(fields))
        else
          redis.call('ZADD', delayed, due, cmsgpack.pack({redis.call('INCR', delayed .. ':number'), fields}))
        end
      end
      redis.call('XACK', stream, group, id)
      if alone then redis.call('XDEL', stream, id) end
    end
  end
end
return count

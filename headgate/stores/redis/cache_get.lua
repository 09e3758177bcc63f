-- ARGV: key. Returns the answer or nothing.
local answer = redis.call('GET', base .. 'answer:' .. ARGV[1])
if answer then
  rate(ARGV[1], redis.call('HINCRBY', hits, ARGV[1], 1))
end
return answer

-- ARGV: what to do, process, key, and to claim: the question, milliseconds that a claim lives, and a process without a
-- sign of life. Beside what all scripts of the cache share: who asks (asks:KEY), and that a process lives (alive:ID).
local asks, alive = base .. 'asks:' .. (ARGV[3] or ''), base .. 'alive:' .. ARGV[2]
if ARGV[1] == 'asks' then
  return redis.call('GET', asks) == ARGV[2] and redis.call('EXISTS', alive) or 0
end
if ARGV[1] == 'release' then
  return redis.call('GET', asks) == ARGV[2] and redis.call('DEL', asks) or 0
end
if ARGV[1] == 'claim' then
  if redis.call('EXISTS', base .. 'answer:' .. ARGV[4], base .. 'answer:' .. ARGV[3]) > 0 then return 'kept' end
  local other = redis.call('GET', asks)
  if other and other ~= ARGV[2] and redis.call('EXISTS', base .. 'alive:' .. other) == 1 then return other end
  redis.call('SET', asks, ARGV[2], 'PX', ARGV[5])
end
redis.call('SET', alive, '', 'PX', ARGV[6])
return ''

-- A request that was under way when the counters were lost: it holds what it held, whatever the limits say. Of a tenant that is
-- not known yet it is announced: it holds that when the tenant is rebuilt.
-- ARGV: 4 seconds of a hold, 5 its id, 6 "1" if a provider has it; then for each meter its spec and the amount.
local now = work_off()
if call("HEXISTS", KEYS[2], ARGV[5]) == 0 then
  local meters, amounts = {}, {}
  for i = 4, #KEYS do
    meters[i - 3], amounts[i - 3] = new_meter(KEYS[i], ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  end
  if known then
    for _, m in ipairs(meters) do load(m, now) end
    enter(ARGV[5], ARGV[6] == "1", meters, amounts, now)
  else
    call("HSETNX", KEYS[1], "lost", exact(now))
    call("HSET", ANNOUNCED, ARGV[5], ARGV[6] .. record_of(meters, amounts, now))
    call("EXPIRE", ANNOUNCED, LATE_SECONDS)
  end
end
return answer("")

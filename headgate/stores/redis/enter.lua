-- A request that was under way when the counters were lost: it holds what it held, whatever the limits say.
-- ARGV: 4 seconds of a hold, 5 its id, 6 "1" if a provider has it, then "1" if also before
-- the tenant is known; then for each meter its spec and the amount.
local now = work_off()
if (known or ARGV[6]:sub(2) == "1") and call("HEXISTS", KEYS[2], ARGV[5]) == 0 then
  local meters, amounts = {}, {}
  for i = 4, #KEYS do
    meters[i - 3], amounts[i - 3] = load(new_meter(KEYS[i], ARGV[2 * i - 1]), now), tonumber(ARGV[2 * i])
  end
  enter(ARGV[5], ARGV[6]:sub(1, 1) == "1", meters, amounts, now)
end
return answer("")

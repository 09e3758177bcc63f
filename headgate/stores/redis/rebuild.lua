-- Begin with what the ledger says. ARGV: 4 seconds of a hold, 5 "1" with the last meters of a tenant, which is known from then
-- on; then for each meter its spec and what was spent.
local now = work_off()
for i = 4, #KEYS do restore(load(new_meter(KEYS[i], ARGV[2 * i - 2]), now), ARGV[2 * i - 1], now) end
if ARGV[5] == "1" then
  if not known then life = exact(now) end
  call("HSET", KEYS[1], "epoch", ARGV[2], "life", life)
end
return answer(told_life())

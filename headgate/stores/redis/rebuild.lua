-- Begin with what the ledger says. ARGV: 4 seconds of a hold; then for each meter its spec and what was spent.
local now = work_off()
for i = 4, #KEYS do restore(load(new_meter(KEYS[i], ARGV[2 * i - 3]), now), ARGV[2 * i - 2], now) end
call("HSET", KEYS[1], "epoch", ARGV[2])
return answer("")

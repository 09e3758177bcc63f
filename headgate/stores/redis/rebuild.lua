-- Begin with what the ledger says. ARGV: 4 seconds of a hold, 5 "1" with the last meters of a tenant, which is known from then
-- on; then for each meter its spec, what was spent, and when that was missing was, or "".
local now = work_off()
for i = 4, #KEYS do
  local m, spent, at = load(new_meter(KEYS[i], ARGV[3 * i - 6]), now), ARGV[3 * i - 5], ARGV[3 * i - 4]
  if at == "" then
    restore(m, spent, now)
  elseif m.kind == ROLLING then
    restore_at(m, spent, min(tonumber(at) + ahead, now), now)
  end
end
if ARGV[5] == "1" then
  if not known then life = exact(now) end
  call("HSET", KEYS[1], "epoch", ARGV[2], "life", life)
elseif not known then
  life = "0"
end
return answer(told_life())

-- Count at least what the ledger says. ARGV: 4 seconds of a hold, 5 "1" with the last meters of a tenant, which is known from
-- then on, then "1" after a loss; then for each meter its spec, what was spent, and when that was missing was, or "".
local now = work_off()
local held_apart = not is_there or ARGV[5]:sub(2) == "1"
for i = 4, #KEYS do
  local m, spent, at = load(new_meter(KEYS[i], ARGV[3 * i - 6]), now), ARGV[3 * i - 5], ARGV[3 * i - 4]
  if at == "" then
    restore(m, spent, now, held_apart)
  elseif m.kind == ROLLING then
    restore_at(m, spent, min(tonumber(at) + ahead, now), now, held_apart)
  end
end
local was_there = is_there and "1" or "0"
if ARGV[5]:sub(1, 1) == "1" then
  if not known then
    life, known = exact(now), true
    call("DEL", ANNOUNCED, ENDED)
    call("HDEL", KEYS[1], "lost")
  end
  call("HSET", KEYS[1], "epoch", ARGV[2], "life", life)
end
return answer(was_there .. told_life())

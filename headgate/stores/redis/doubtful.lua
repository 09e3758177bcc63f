-- Requests without which the ledger is to be read, because their settlements are counted here: those that hold something, and
-- of a tenant that was lost those that were announced. ARGV: 4 seconds of a hold, 5 how many seconds after a loss all have announced theirs,
-- 6 "1" if the tenant was known once, 7 the most of them.
-- Returns for how many seconds to wait before asking again, or false and the ids.
local now = work_off()
if not known then
  if ARGV[6] == "1" then call("HSETNX", KEYS[1], "lost", exact(now)) end
  local wait = (tonumber(call("HGET", KEYS[1], "lost")) or -math.huge) + tonumber(ARGV[5]) - now
  if wait > 0 then return answer(told_life(), {exact(wait), {}}) end
end
local ids = call("HKEYS", KEYS[2])
for _, id in ipairs(call("HKEYS", ANNOUNCED)) do ids[#ids + 1] = id end
while #ids > tonumber(ARGV[7]) do table.remove(ids) end
return answer(told_life(), {false, ids})

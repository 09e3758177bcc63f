-- Hold more money, for another attempt that is dearer: all of it or none.
-- ARGV: 4 seconds of a hold, 5 its id, 6 pico-dollars it needs now.
local now = work_off()
local record = call("HGET", KEYS[2], ARGV[5])
if not record then return answer("") end
local needed = tonumber(ARGV[6])
local entries = cmsgpack.unpack(record:sub(18))
local meters = {}
for i = 2, #entries, 3 do
  local m = load(new_meter(PREFIX .. entries[i], entries[i + 1]), now)
  meters[i] = m
  if m.measure == USD and m.enforce then
    local more = needed - entries[i + 2]
    local why = more > 0 and verdict(m, more, now) or nil
    if why and why ~= TRIPPED then
      local wait, found = false, reading(m, now)
      if why == HELD then wait = 1 end
      if why == SPENT and m.kind == ROLLING and m.limit > 0 then wait = comes_free_at(m, more, now) - now end
      return answer("", {{named(m)}, {0, why, found[1], found[2], whole(more), wait and exact(wait)}})
    end
  end
end
for i, m in pairs(meters) do
  if (m.kind == BUDGET or m.kind == ROLLING) and m.measure == USD and needed > entries[i + 2] then
    take(m, needed - entries[i + 2], now)
    entries[i + 2] = needed
  end
end
call("HSET", KEYS[2], ARGV[5], record:sub(1, 17) .. cmsgpack.pack(entries))
return answer("")

-- An operator closes a velocity that has tripped. ARGV: 4 seconds of a hold, 5 the meter's spec.
local now = work_off()
local m = new_meter(KEYS[4], ARGV[5])
if m.kind == VELOCITY and call("EXISTS", m.key) == 1 then
  call("HSET", m.key, "r", "0", "q", "0")
  clear_window(m)
end
return answer("")

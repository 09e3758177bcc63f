-- An operator closes a velocity that has tripped. ARGV: 4 seconds of a hold, 5 the meter's spec.
local now = work_off()
local m = new_meter(KEYS[4], ARGV[5])
if m.kind == VELOCITY then
  call("HSET", m.key, "r", "0", "q", "0", "z", exact(now))
  clear_window(m)
  touch(m, now)
end
return answer("")

-- How meters stand. ARGV: 4 seconds of a hold; then a spec for each meter.
local now = work_off()
local readings = {}
for i = 4, #KEYS do readings[i - 3] = reading(load(new_meter(KEYS[i], ARGV[i + 1]), now), now) end
return answer("", readings)

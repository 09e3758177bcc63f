-- A process takes a slice of a limit on everybody together, to let requests in by itself. ARGV: 4 seconds of a hold, 5 the spec,
-- 6 how much it would like (0: nothing), 7 how much it needs; then of a rate: 8 what it gives back, as MessagePack: pairs of an
-- amount and the time at which that was taken; of concurrency: 8 the process, 9 for how many seconds.
local now = work_off()
local m = new_meter(KEYS[4], ARGV[5])
local wanted, needed = tonumber(ARGV[6]), tonumber(ARGV[7])

-- granted, the time, the wait (-1: none), what is used, why not (0: granted), until a bucket is full
local function grant(granted, wait, total, why)
  return answer(struct.pack("<dddddd", granted, now, wait, total, why or 0, max((m.t or 0) - now, 0)))
end

-- A process says how many are under way in it, and no longer counts when it has not said so for a while.
if m.kind == CONCURRENCY then
  local all, others = call("HGETALL", m.key), 0
  for i = 1, #all, 2 do
    local count, until_at = all[i + 1]:match("^(%d+):(.+)$")
    if tonumber(until_at) <= now then
      call("HDEL", m.key, all[i])
    elseif all[i] ~= ARGV[8] then
      others = others + tonumber(count)
    end
  end
  local granted = max(0, min(wanted, m.limit - others))
  if granted == 0 then
    call("HDEL", m.key, ARGV[8])
  else
    call("HSET", m.key, ARGV[8], whole(granted) .. ":" .. exact(now + tonumber(ARGV[9])))
    call("PEXPIRE", m.key, DAY * 1000)
  end
  return grant(granted, granted < needed and 1 or -1, others + granted, granted < needed and TOO_MANY)
end

for _, one in ipairs(cmsgpack.unpack(ARGV[8])) do amend_rate(m, -one[1], one[2]) end
load(m, now)
if wanted == 0 then return grant(0, -1, used(m, now)) end
local why = verdict(m, needed, now)
if why then
  if why == TOO_LARGE then return grant(0, -1, used(m, now), why) end
  local wait = turn_at(m, needed, now, now) - now
  promise(m, needed, now + wait, now)
  return grant(0, wait, used(m, now), why)
end
local in_bucket = floor((m.burst - max(m.t - now, 0)) * m.limit / m.period)
local granted = max(needed, min(wanted, m.limit - used(m, now), in_bucket))
take_rate(m, granted, now)
touch(m, now)
return grant(granted, -1, used(m, now))

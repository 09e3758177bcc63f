-- What headgate/policy/meters.py says, on hashes: one for each meter. Every line must compute what Python computes there,
-- in the same order; tests/contract/test_counters_agree.py compares the two.
--
-- Sums of pico-dollars pass 2^53, where Lua's numbers end. They are kept as decimal strings and changed by HINCRBY, which is
-- exact to 63 bits; what is compared are differences, computed from two halves. A single request's amounts are below 2^53.
--
-- Fields: t m  of a rate: theoretical arrival time, turns        s h  spent, held
--         w o n  of a window: total, oldest and newest slice; and each slice by its number
--         r f q b k y v z  of a velocity: retry, what tripped it, probe, baseline, periods, period, spent in it, reset
--         l c  of a repeat: last, times
local call, format, floor, max, min, tonumber, unpack = redis.call, string.format, math.floor, math.max, math.min, tonumber, unpack
local RATE, CONCURRENCY, BUDGET, ROLLING, VELOCITY, REPEAT = 1, 2, 3, 4, 5, 6
local REQUESTS, TOKENS, USD = 0, 1, 2
local TOO_LARGE, SPENT, LOOP, TRIPPED, RATE_EXCEEDED, TOO_MANY, HELD = 1, 2, 3, 4, 5, 6, 7
local MOST_TURNS, MOST_ROUNDS, RECOVERED_SHARE, PROBE_SECONDS, MOST_DECAYS = 64, 8, 0.5, 60.0, 200
local BASELINE_WEIGHT, BASELINE_PERIODS, BASELINE_FLOOR = 0.1, 12, 1e10
local DAY, TOLD_SECONDS = 86400, 0.001

local function whole(number) return number == 0 and "0" or format("%.0f", number) end  -- never "-0"
local function exact(number) return format("%.17g", number) end

-- Add to a field; returns its new value as a decimal string.
local function grow(key, field, amount)
  local sum = call("HINCRBY", key, field, amount)
  if sum < 9e15 and sum > -9e15 then return whole(sum) end
  return call("HGET", key, field)
end

-- A decimal string as two numbers, billions and the rest: exact, whatever its size.
local function halves(text)
  if not text then return 0, 0 end
  local number = tonumber(text)
  if number < 9e15 and number > -9e15 then
    local high = floor(number / 1e9)
    return high, number - high * 1e9
  end
  local low = tonumber(text:sub(-9))
  return tonumber(text:sub(1, -10)), text:sub(1, 1) == "-" and -low or low
end

-- limit - spent - held: exact below 2^53, and of the right sign and size above.
local function left(m, spent, held)
  local spent_high, spent_low = halves(spent)
  local held_high, held_low = halves(held)
  return (m.high - spent_high - held_high) * 1e9 + (m.low - spent_low - held_low)
end

local function new_meter(key, spec)
  local kind, measure, flags, high, low, period, burst, factor, resets_at = struct.unpack("<BBBdddddd", spec)
  return {
    key = key, spec = spec, kind = kind, measure = measure, enforce = flags % 2 == 1, alert = flags >= 2,
    high = high, low = low, limit = high * 1e9 + low, period = period, burst = burst, factor = factor,
    resets_at = resets_at, width = period / (kind == VELOCITY and 60 or 240),
  }
end

local function load(m, now)
  local kind, key = m.kind, m.key
  if kind == RATE then
    m.place = floor(now / m.width)
    local got = call("HMGET", key, "t", "w", "o", "n", "m", whole(m.place))
    m.t, m.w, m.o, m.n, m.m = tonumber(got[1]) or 0, got[2], tonumber(got[3]), tonumber(got[4]), got[5]
    m.here, m.new = tonumber(got[6]) or 0, not got[1] and not got[5]
  elseif kind == BUDGET then
    local got = call("HMGET", key, "s", "h")
    m.s, m.h = got[1], got[2]
  elseif kind == CONCURRENCY then
    m.h = call("HGET", key, "h")
  elseif kind == ROLLING then
    local got = call("HMGET", key, "w", "o", "n", "h")
    m.w, m.o, m.n, m.h = got[1], tonumber(got[2]), tonumber(got[3]), got[4]
  elseif kind == VELOCITY then
    local got = call("HMGET", key, "w", "o", "n", "r", "q", "b", "k", "y", "v", "f")
    m.w, m.o, m.n, m.r, m.q = got[1], tonumber(got[2]), tonumber(got[3]), tonumber(got[4]) or 0, tonumber(got[5]) or 0
    m.b, m.k, m.y, m.v = tonumber(got[6]) or 0, tonumber(got[7]) or 0, tonumber(got[8]) or -1, got[9]
    m.f = got[10]  -- absent where an earlier release tripped it
  else
    local got = call("HMGET", key, "l", "c")
    m.l, m.c = got[1] or "0", tonumber(got[2]) or 0
  end
  return m
end

local ahead = 0  -- seconds that a tenant's time is before the server's, whose clock was set back: see holds.lua

-- So long after its last use a meter is forgotten.
local function touch(m, now)
  local kind, seconds = m.kind, 2 * DAY
  if kind == RATE then
    seconds = max(m.t - now, 0) + 2 * m.period + 60
  elseif kind == BUDGET and m.resets_at > 0 then
    seconds = m.resets_at == math.huge and 400 * DAY or max(m.resets_at - (now - ahead), 0) + DAY
  elseif kind == ROLLING then
    seconds = m.period + 2 * DAY
  elseif kind == VELOCITY then
    seconds = 14 * DAY
  end
  call("PEXPIRE", m.key, whole(min(seconds, 400 * DAY) * 1000))
end

-- The window ---------------------------------------------------------------------------------------------------------

local function clear_window(m)
  local all, gone = call("HKEYS", m.key), {"w", "o", "n"}
  for _, field in ipairs(all) do
    if tonumber(field) then gone[#gone + 1] = field end
  end
  call("HDEL", m.key, unpack(gone))
  m.w, m.o, m.n = false, nil, nil
end

-- Forget what has left the window; returns what counts now.
local function used(m, now)
  local oldest = floor((now - m.period) / m.width)
  if m.o and m.o < oldest then
    if m.n < oldest then
      clear_window(m)
    else
      local places, gone = {}, {}
      for place = m.o, oldest - 1 do places[#places + 1] = whole(place) end
      local amounts = call("HMGET", m.key, unpack(places))
      for i, amount in ipairs(amounts) do
        if amount then
          gone[#gone + 1] = places[i]
          if amount ~= "0" then
            call("HINCRBY", m.key, "w", amount:sub(1, 1) == "-" and amount:sub(2) or "-" .. amount)
          end
        end
      end
      if #gone > 0 then call("HDEL", m.key, unpack(gone)) end
      m.o, m.w = oldest, call("HGET", m.key, "w")
      call("HSET", m.key, "o", whole(oldest))
    end
  end
  return tonumber(m.w) or 0
end

local function add(m, amount, now)
  used(m, now)
  local place = floor(now / m.width)
  call("HINCRBY", m.key, whole(place), amount)
  if amount ~= "0" or not m.w then m.w = grow(m.key, "w", amount) end
  if m.n ~= place or not m.o then
    m.o, m.n = m.o or place, place
    call("HSET", m.key, "o", whole(m.o), "n", whole(place))
  end
end

local function amend(m, difference, at)
  local place = whole(floor(at / m.width))
  if difference ~= 0 and call("HEXISTS", m.key, place) == 1 then
    call("HINCRBY", m.key, place, whole(difference))
    m.w = grow(m.key, "w", whole(difference))
  end
end

local function expires_at(m, place) return (place + 1) * m.width + m.period end

-- Slices oldest first, as pairs of number and amount (a decimal string).
local function slices(m)
  local found = {}
  if m.o then
    local all, by_field = call("HGETALL", m.key), {}
    for i = 1, #all, 2 do by_field[all[i]] = all[i + 1] end
    for place = m.o, m.n do
      local amount = by_field[whole(place)]
      if amount then found[#found + 1] = {place, amount} end
    end
  end
  return found
end

local function fits_at(waiting, excess, now)
  local at = now
  for _, one in ipairs(waiting) do
    if excess <= 0 then break end
    excess = excess - one[2]
    at = one[1]
  end
  return max(at, now)
end

-- When so much of a rolling budget is free.
local function comes_free_at(m, amount, now)
  local leaving = {}
  for i, one in ipairs(slices(m)) do leaving[i] = {expires_at(m, one[1]), tonumber(one[2])} end
  return fits_at(leaving, amount - left(m, m.w, "0"), now)
end

-- A rate -------------------------------------------------------------------------------------------------------------

-- headgate/policy/turns.py: who was told to come, as {slice, amount, time of the last, latest arrival time}. Those whose time has
-- come are dropped.
local function turns_of(m, now)
  if m.turns then return m.turns end
  local found = {}
  m.turns = found
  for place, amount, at, latest in (m.m or ""):gmatch("(%d+):(%d+):([^:;]+):([^:;]+)") do
    place = tonumber(place)
    if #found > 0 or place + 1 > now / m.width then
      found[#found + 1] = {place, tonumber(amount), tonumber(at), tonumber(latest)}
    end
  end
  return found
end

local function filling_seconds(m, cost) return cost > m.burst and 0 or cost - m.burst end

-- When the window has room for all who come as long as an amount is in it; to be asked for later times only.
local function room_for(m, turns, excess)
  local leaving, left, coming, free_at = nil, 0, 1, 0
  local function load_leaving()
    leaving = {}
    m.slices = m.slices or slices(m)
    for _, one in ipairs(m.slices) do leaving[#leaving + 1] = {expires_at(m, one[1]), tonumber(one[2])} end
    for _, one in ipairs(turns) do leaving[#leaving + 1] = {expires_at(m, one[1]), one[2]} end
  end
  return function(at)
    at = max(at, free_at)
    while true do
      while turns[coming] and turns[coming][3] < at + (m.period + m.width) do
        excess = excess + turns[coming][2]
        coming = coming + 1
      end
      if excess > 0 and not leaving then load_leaving() end
      while excess > 0 and leaving[left + 1] do
        left = left + 1
        free_at, excess = leaving[left][1], excess - leaving[left][2]
      end
      if free_at <= at then return at end
      at = free_at
    end
  end
end

-- The earliest time from `since` on at which an amount fits and takes nobody's turn.
local function turn_at(m, amount, now, since)
  local each = m.period / m.limit
  local cost, room = amount * each, used(m, now) + amount - m.limit
  local filling, turns, latest, tat, at = filling_seconds(m, cost), turns_of(m, now), {}, m.t, since
  local before = math.huge
  for i = #turns, 1, -1 do
    before = min(turns[i][4], before - turns[i][2] * each)
    latest[i] = before
  end
  local from_then_on = room_for(m, turns, room)
  for i, one in ipairs(turns) do
    at = max(at, tat + filling)
    local begins_at = one[1] * m.width
    if at < begins_at then
      at = from_then_on(at)
      if at < begins_at and max(tat, at) + cost <= latest[i] then return at end
    end
    if one[3] + TOLD_SECONDS > now then tat = max(tat, one[3] + TOLD_SECONDS) + one[2] * each end
    at = max(since, one[3])
  end
  return from_then_on(max(at, tat + filling))
end

-- Whether he is expected.
local function promise(m, amount, at, now)
  local turns, each = turns_of(m, now), m.period / m.limit
  local cost = amount * each
  local latest = at - filling_seconds(m, cost)
  local place, i = floor((at + TOLD_SECONDS) / m.width), #turns
  while i > 0 and turns[i][1] > place do i = i - 1 end
  local there = turns[i]
  if there and there[1] == place then
    if at >= there[3] then
      latest = min(there[4], latest - there[2] * each)
    else
      at, latest = there[3], min(latest, there[4] - cost)
    end
    turns[i] = {place, there[2] + amount, at, latest}
  else
    if i >= MOST_TURNS then return false end
    table.insert(turns, i + 1, {place, amount, at, latest})
    turns[MOST_TURNS + 1] = nil
  end
  local texts = {}
  for i, one in ipairs(turns) do texts[i] = format("%.0f:%.0f:%.17g:%.17g", unpack(one)) end
  call("HSET", m.key, "m", table.concat(texts, ";"))
  touch(m, now)
  return true
end

-- So long who is not expected is told the same: then a turn is over, and its slice, or it has come.
local function turns_seconds(m, now)
  local seconds = math.huge
  for _, one in ipairs(turns_of(m, now)) do
    seconds = min(seconds, (one[1] + 1) * m.width - now)
    if one[3] + TOLD_SECONDS > now then return min(seconds, one[3] + TOLD_SECONDS - now) end
  end
  return seconds < math.huge and seconds or 0
end

-- So long an amount that is refused stays refused if nothing is given back, whoever comes.
local function quiet_seconds(m, amount, now)
  local cost = amount * (m.period / m.limit)
  local bucket_at = cost > m.burst and m.t or m.t + cost - m.burst
  local window_at = used(m, now) + amount > m.limit and m.o and expires_at(m, m.o) or now
  return max(bucket_at, window_at, now) - now
end

local function take_rate(m, amount, now)
  m.t = max(m.t, now) + amount * (m.period / m.limit)
  used(m, now)
  m.o, m.n, m.w = m.o or m.place, m.place, (tonumber(m.w) or 0) + amount
  m.here = m.here + amount
  if m.new then call("HSET", m.key, "m", "") end  -- found fast before many slices, and looked for in vain after
  call("HSET", m.key, "t", exact(m.t), "w", whole(m.w), "o", whole(m.o), "n", whole(m.n), whole(m.place), whole(m.here))
end

-- A velocity ---------------------------------------------------------------------------------------------------------

local function join(m, spent)
  m.b = m.k == 0 and spent or m.b + BASELINE_WEIGHT * (spent - m.b)
  m.k = m.k + 1
end

local function advance(m, now)
  local period = floor(now / m.period)
  if m.y < 0 then m.y = period end
  local passed = period - m.y
  if passed <= 0 then return end
  m.y = period
  join(m, tonumber(m.v) or 0)
  m.v = "0"
  call("HSET", m.key, "v", "0")
  for _ = 1, min(passed - 1, MOST_DECAYS) do join(m, 0) end
end

local function threshold(m)
  local limit = m.limit > 0 and m.limit or nil
  if m.factor > 0 and m.k >= BASELINE_PERIODS then
    return min(limit or math.huge, max(m.factor * m.b, BASELINE_FLOOR))
  end
  return limit
end

local function trips_above(m) return whole(floor(threshold(m) or 0)) end

local function what_trips(m) return exact(m.limit) .. ":" .. exact(m.factor) end

local function is_tripped(m, now)
  if m.r == 0 or not m.f or m.f == what_trips(m) then return m.r > 0 end
  local limit = threshold(m)
  return limit and used(m, now) > limit or false
end

local function trip(m, limit, now)
  m.f = what_trips(m)
  local waiting = {}
  for _, one in ipairs(slices(m)) do waiting[#waiting + 1] = {expires_at(m, one[1]), tonumber(one[2])} end
  m.r = fits_at(waiting, (tonumber(m.w) or 0) - floor(RECOVERED_SHARE * limit), now)
end

-- Whether that trips it, which was closed.
local function settle_velocity(m, actual, at, now)
  local was_tripped = is_tripped(m, now)
  advance(m, now)
  add(m, whole(actual), now)
  call("HINCRBY", m.key, "v", whole(actual))
  local limit, total = threshold(m), tonumber(m.w) or 0
  if limit and not was_tripped and total > limit then
    trip(m, limit, now)
  elseif limit and m.q > 0 and at >= m.r then
    m.q = 0
    if total <= limit then m.r = 0 else trip(m, limit, now) end
  end
  call("HSET", m.key, "r", exact(m.r), "q", exact(m.q), "b", exact(m.b), "k", whole(m.k), "y", whole(m.y))
  if m.f then call("HSET", m.key, "f", m.f) end
  return not was_tripped and is_tripped(m, now)
end

-- Every kind ---------------------------------------------------------------------------------------------------------

-- The most that an amount may ever be; nil: any.
local function room(m, now)
  if m.kind == RATE then return m.limit end
  if m.kind == BUDGET then return left(m, m.s, "0") end
  if m.kind == ROLLING then
    used(m, now)
    return left(m, m.w, "0")
  end
  return nil
end

local function verdict(m, amount, now)
  local kind = m.kind
  if kind == BUDGET or kind == ROLLING then
    local spent = m.s
    if kind == ROLLING then
      used(m, now)
      spent = m.w
    end
    if amount <= left(m, spent, m.h) or amount == 0 then return nil end
    if amount > m.limit and m.limit > 0 then return TOO_LARGE end
    return amount > left(m, spent, "0") and SPENT or HELD
  elseif kind == RATE then
    if amount > m.limit then return TOO_LARGE end
    local cost = amount * (m.period / m.limit)
    if m.t > now and m.t + cost - m.burst > now then return RATE_EXCEEDED end
    return used(m, now) + amount > m.limit and RATE_EXCEEDED or nil
  elseif kind == CONCURRENCY then
    return (tonumber(m.h) or 0) + amount > m.limit and TOO_MANY or nil
  elseif kind == VELOCITY then
    if amount == 0 or m.alert or not is_tripped(m, now) then return nil end
    return (now < m.r or now < m.q) and TRIPPED or nil
  end
  return amount ~= "0" and amount == m.l and m.c >= m.limit and LOOP or nil
end

local function take(m, amount, now)
  local kind = m.kind
  if kind == RATE then
    take_rate(m, amount, now)
  elseif kind == VELOCITY then
    if not (amount > 0 and is_tripped(m, now)) then return end
    m.q = now + PROBE_SECONDS
    call("HSET", m.key, "q", exact(m.q))
  elseif kind == REPEAT then
    m.c = amount == m.l and m.c + 1 or 1
    m.l = amount
    call("HSET", m.key, "l", m.l, "c", whole(m.c))
  else
    call("HINCRBY", m.key, "h", whole(amount))
    if kind == ROLLING then add(m, "0", now) end
  end
  touch(m, now)
end

local function let_go(m, amount, now)
  if call("HINCRBY", m.key, "h", whole(-amount)) < 0 then  -- it had been forgotten
    call("HSET", m.key, "h", "0")
    touch(m, now)
  end
end

-- A rate's amount was another. What is not there has been forgotten.
local function amend_rate(m, difference, at)
  local place = whole(floor(at / m.width))
  local got = call("HMGET", m.key, "t", "w", place)
  if not got[1] then return end
  local arrival = exact(tonumber(got[1]) + difference * (m.period / m.limit))
  if not got[3] then
    call("HSET", m.key, "t", arrival)
    return
  end
  call("HSET", m.key, "t", arrival, "w", whole(tonumber(got[2]) + difference), place, whole(tonumber(got[3]) + difference))
end

-- It came to another amount in the end; `at` is when it was taken. Nothing is loaded before. Whether that trips a velocity.
local function settle(m, amount, actual, at, now)
  local kind = m.kind
  if kind == RATE then
    if actual ~= amount then amend_rate(m, actual - amount, at) end
  elseif kind == BUDGET then
    let_go(m, amount, now)
    m.s = grow(m.key, "s", whole(actual))
  elseif kind == CONCURRENCY then
    let_go(m, amount, now)
  elseif kind == ROLLING then
    load(m, now)
    let_go(m, amount, now)
    amend(m, actual, at)
  elseif kind == VELOCITY then
    load(m, now)
    local trips = settle_velocity(m, actual, at, now)
    touch(m, now)
    return trips
  end
end

local function release(m, amount, at, now)
  local kind = m.kind
  if kind == RATE then
    if amount ~= 0 then amend_rate(m, -amount, at) end
  elseif kind == VELOCITY then
    load(m, now)
    if m.q > 0 and at >= m.r then call("HSET", m.key, "q", "0") end
  elseif kind == REPEAT then
    load(m, now)
    if amount == m.l and m.c > 0 then call("HSET", m.key, "c", whole(m.c - 1)) end
  else
    let_go(m, amount, now)
  end
end

-- used, held (decimal strings), when it frees (or false), whether it has tripped, and of a velocity beyond what it trips
local function reading(m, now)
  local kind = m.kind
  if kind == RATE then
    local total, newest = used(m, now), m.n
    if total ~= 0 and newest then  -- what was given back may have been all of the latest
      while newest > m.o and (call("HGET", m.key, whole(newest)) or "0") == "0" do newest = newest - 1 end
    end
    local frees_at = max(m.t, total ~= 0 and newest and expires_at(m, newest) or 0)
    return {whole(total), "0", frees_at > now and exact(frees_at), false}
  elseif kind == BUDGET then
    return {m.s or "0", m.h or "0", false, false}
  elseif kind == CONCURRENCY then
    return {m.h or "0", "0", false, false}
  elseif kind == ROLLING then
    used(m, now)
    for _, one in ipairs(slices(m)) do
      if one[2] ~= "0" then return {m.w or "0", m.h or "0", exact(expires_at(m, one[1])), false} end
    end
    return {m.w or "0", m.h or "0", false, false}
  elseif kind == VELOCITY then
    used(m, now)
    local tripped = is_tripped(m, now)
    return {m.w or "0", "0", tripped and exact(max(m.r, m.q > now and m.q or 0)), tripped, trips_above(m)}
  end
  return {whole(m.c), "0", false, false}
end

-- How much of what was spent is neither counted nor held.
local function beyond(spent, counted, held)
  local high, low = halves(spent)
  local counted_high, counted_low = halves(counted)
  local held_high, held_low = halves(held)
  return (high - counted_high - held_high) * 1e9 + (low - counted_low - held_low)
end

-- The ledger says that so much was used, a decimal string: at least that is counted from here on.
local function restore(m, spent, now, held_apart)
  local kind = m.kind
  if kind ~= RATE and kind ~= BUDGET and kind ~= ROLLING and kind ~= VELOCITY then return end
  if kind == VELOCITY and now < (tonumber(call("HGET", m.key, "z")) or 0) + m.period then return end  -- it was reset
  local found = reading(m, now)
  local counted, held = found[1], held_apart and "0" or found[2]
  if kind == VELOCITY and not held_apart and counted ~= "0" then return end
  local missing = beyond(spent, counted, held)
  if kind == ROLLING or kind == VELOCITY then add(m, "0", now) end
  if missing > 0 then
    if kind == RATE then
      local arrival = max(m.t, now)
      take_rate(m, missing, now)
      m.t = min(m.t, max(arrival, now + m.burst))  -- it may be empty: more nobody knows
      call("HSET", m.key, "t", exact(m.t))
    elseif kind == BUDGET then
      call("HSET", m.key, "s", spent)
      if held ~= "0" then call("HINCRBY", m.key, "s", "-" .. held) end
    else
      add(m, spent, now)
      if counted ~= "0" then add(m, "-" .. counted, now) end
      if held ~= "0" then add(m, "-" .. held, now) end
    end
  end
  touch(m, now)
end

-- As restore, of a rolling meter; what is missing was used at `at`.
local function restore_at(m, spent, at, now, held_apart)
  local found, place = reading(m, now), floor(at / m.width)
  local counted, held = found[1], held_apart and "0" or found[2]
  if beyond(spent, counted, held) > 0 and place >= floor((now - m.period) / m.width) then
    call("HINCRBY", m.key, whole(place), spent)
    grow(m.key, "w", spent)
    if counted ~= "0" then
      local less = counted:sub(1, 1) == "-" and counted:sub(2) or "-" .. counted
      call("HINCRBY", m.key, whole(place), less)
      grow(m.key, "w", less)
    end
    if held ~= "0" then
      call("HINCRBY", m.key, whole(place), "-" .. held)
      grow(m.key, "w", "-" .. held)
    end
    call("HSET", m.key, "o", whole(min(m.o or place, place)), "n", whole(max(m.n or place, place)))
  end
  touch(m, now)
end

-- headgate/policy/admission.py: decide over all meters, and take what is admitted.
-- ARGV: 4 seconds of a hold, 5 its id, 6 the request (see encoding.py), 7 its fingerprint; then a spec for each meter.
local now = work_off()
if not known then
  local what = (is_there and 1 or 0) + (call("HEXISTS", KEYS[1], "lost") == 1 and 2 or 0)
  return answer(struct.pack("<dddddddddd", 2, now - ahead, what, -1, 0, 0, 0, 0, 0, 0) .. told_life())
end
local input, wanted_each, choices, input_picousd, price, least = struct.unpack("<dddddd", ARGV[6])
local meters = {}
for i = 4, #KEYS do meters[i - 3] = load(new_meter(KEYS[i], ARGV[i + 4]), now) end

local function amount_of(m, output)
  if m.kind == REPEAT then return ARGV[7] end
  if m.measure == REQUESTS then return 1 end
  return m.measure == TOKENS and input + output or input_picousd + output * price
end

-- The ceiling on output, of all choices together, that every enforced meter could hold once nobody else did.
local wanted = wanted_each * choices
local output = wanted
for _, m in ipairs(meters) do
  if m.measure ~= REQUESTS and m.enforce then
    local most = room(m, now)
    if most and m.measure == TOKENS then
      output = min(output, most - input)
    elseif most and price > 0 and most - input_picousd < output * price then
      output = min(output, floor((most - input_picousd) / price))
    end
  end
end
if output ~= wanted then output = max(floor(output / choices), min(least, wanted_each)) * choices end

local function refuse(place, m, why, amount)
  local wait, found = false, reading(m, now)
  if m.kind == VELOCITY then
    wait = max(0, max(m.r, m.q > now and m.q or 0) - now)
  elseif why == TOO_MANY or why == HELD then
    wait = 1
  elseif why == RATE_EXCEEDED then
    wait = turn_at(m, amount, now, now) - now
  elseif why == SPENT and m.kind == ROLLING and m.limit > 0 then
    wait = comes_free_at(m, amount, now) - now
  end
  local needed = m.kind == REPEAT and amount or whole(amount)
  return {place - 1, why, found[1], found[2], needed, wait and exact(wait), found[5]}, wait or math.huge
end

local worst, worst_wait, refused, unenforced, longest = nil, 0, false, {}, 0
for place, m in ipairs(meters) do
  local amount = amount_of(m, output)
  local why = verdict(m, amount, now)
  if why then
    local refusal, wait = refuse(place, m, why, amount)
    if not m.enforce then
      unenforced[#unenforced + 1] = refusal
    else
      if not worst or why < worst[2] or (why == worst[2] and wait > worst_wait) then worst, worst_wait = refusal, wait end
      m.wait, longest = wait, max(longest, wait)
    end
  end
end

-- When all who were told a time before have come, this one may; whoever comes next is told a later time. Who waits for
-- money or for a place tries again until there is one, and is not counted among those who come for a rate each time.
local wait, quiet = -1, 0
if worst and worst[2] > LOOP then
  local function free_in_all(at, all)
    for _ = 1, MOST_ROUNDS do  -- what is free in one may be taken in another
      local before = at
      for _, m in ipairs(meters) do
        if m.kind == RATE and m.enforce and (all or m.wait ~= longest) then
          at = max(at, turn_at(m, amount_of(m, output), now, at))
        end
      end
      if at == before then break end
    end
    return at
  end
  local at = free_in_all(now + longest, false)
  if at > now + longest then at = free_in_all(at, true) end
  wait = at - now
  if worst[2] == RATE_EXCEEDED then
    local is_turn, turns = false, math.huge
    for _, m in ipairs(meters) do
      if m.kind == RATE and m.enforce then
        is_turn = promise(m, amount_of(m, output), now + wait, now) or is_turn
        turns = min(turns, turns_seconds(m, now))
      end
    end
    -- Until then the process that asks may say no by itself: nothing fits before, and nobody gets a turn of his own.
    local m = meters[worst[1] + 1]
    if not is_turn and #unenforced == 0 then quiet = min(turns, quiet_seconds(m, amount_of(m, output), now)) end
  end
end

if not worst then
  local amounts = {}
  for i, m in ipairs(meters) do amounts[i] = amount_of(m, output) end
  enter(ARGV[5], false, meters, amounts, now)
end

-- The tightest limit on requests and on tokens: the meter's place (0: none), what remains, when it is as if unused.
local tightest = {[REQUESTS] = {0, 0, 0}, [TOKENS] = {0, 0, 0}}
for place, m in ipairs(meters) do
  if m.kind == RATE and m.enforce then
    local debt = max(m.t - now, 0)
    local remaining = min(m.limit - (tonumber(m.w) or 0), floor((m.burst - debt) * m.limit / m.period))
    local found = tightest[m.measure == REQUESTS and REQUESTS or TOKENS]
    if remaining < 0 then remaining = 0 end
    if found[1] == 0 or remaining < found[2] then found[1], found[2], found[3] = place, remaining, debt end
  end
end
local requests, tokens = tightest[REQUESTS], tightest[TOKENS]
local told = struct.pack("<dddddddddd", worst and 1 or 0, now - ahead, worst and quiet or output / choices, wait,
  requests[1], requests[2], requests[3], tokens[1], tokens[2], tokens[3]) .. told_life()
if not worst and #unenforced == 0 then return answer(told) end
return answer(told, {worst or false, unenforced})

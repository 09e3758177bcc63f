-- A tenant and its requests under way. KEYS: 1 the tenant, 2 its holds, 3 when they expire; the meters of the request follow.
-- ARGV: 1 the time, or "" for the server's; 2 the server's epoch; 3 what was queued (MessagePack), or ""; the script's own follow.
--
-- A hold is a flag (1: dispatched), the number under which it expires (16 digits, so that ties expire in order), and as
-- MessagePack: when it was taken, then of each meter the key, the spec and the amount. All keys begin alike and have one
-- hash tag, so that those that only a hold names are in the same slot.
local PREFIX = KEYS[1]:sub(1, -7)  -- without "tenant"
local HOLD_SECONDS, LATE_SECONDS, TENANT_SECONDS, MOST_CLOSED = tonumber(ARGV[4]), DAY, 400 * DAY, 64
local SET_BACK_SECONDS = 1  -- a clock that falls back by more was set; by less, it is waited for
-- Of a tenant that was lost: what its requests under way held, by id, and what those that are over since came to. Both take effect
-- when it is rebuilt, from a ledger that was read without them.
local ANNOUNCED, ENDED = PREFIX .. "announced", PREFIX .. "ended"
local crossings = {}
local known = call("HMGET", KEYS[1], "now", "epoch", "life", "ahead")
local known_now, last, life = known[1], tonumber(known[1]) or 0, known[3] or "0"
ahead = tonumber(known[4]) or 0
local is_there = known[2] and true or false  -- from another server too, after a failover or a restart
known = known[2] == ARGV[2]

local function settled_amount(m, tokens, picousd)
  if m.measure == USD then return picousd end
  return m.measure == TOKENS and tokens or 1
end

-- A meter as its name and its spec; the latter in hex, because MessagePack's strings are text.
local function named(m)
  return m.key:sub(#PREFIX + 3), (m.spec:gsub(".", function(byte) return format("%02x", byte:byte()) end))
end

local function tell(m, percent, spent, above)
  local name, spec = named(m)
  crossings[#crossings + 1] = {name, spec, percent, spent, above or "0"}
end

-- Whether the amount that was added took what is spent past a part of the limit worth telling about.
local function tell_crossing(m, added, spent)
  local high, low = halves(spent)
  for _, percent in ipairs({100, 80, 50}) do
    local beyond = (high * 100 - m.high * percent) * 1e9 + (low * 100 - m.low * percent)
    if beyond >= 0 and beyond - added * 100 < 0 then
      tell(m, percent, spent)
      return
    end
  end
end

local function each_entry(packed, visit)
  local record = cmsgpack.unpack(packed)
  for i = 2, #record, 3 do visit(new_meter(PREFIX .. record[i], record[i + 1]), record[i + 2], record[1]) end
end

local function close(packed, tokens, picousd, released, now)
  each_entry(packed, function(m, amount, at)
    if released then
      release(m, amount, at, now)
      return
    end
    local actual = settled_amount(m, tokens, picousd)
    local trips = settle(m, amount, actual, at, now)
    if m.kind == VELOCITY then
      if trips then tell(m, 0, m.w, trips_above(m)) end
    elseif actual ~= 0 and (m.kind == BUDGET or m.kind == ROLLING) then
      if m.kind == ROLLING then used(m, now) end
      tell_crossing(m, actual, m.kind == ROLLING and (m.w or "0") or m.s)
    end
  end)
end

-- The truth about a hold that was charged provisionally.
local function correct(packed, tokens, picousd, released, now)
  local held_tokens, held_picousd = 0, 0
  each_entry(packed, function(m, amount)
    if m.measure == TOKENS then held_tokens = max(held_tokens, amount) end
    if m.measure == USD then held_picousd = max(held_picousd, amount) end
  end)
  each_entry(packed, function(m, _, at)
    local before = settled_amount(m, held_tokens, held_picousd)
    local actual = released and 0 or settled_amount(m, tokens, picousd)
    if m.kind == RATE then
      settle(m, before, actual, at, now)
    elseif m.kind == BUDGET or m.kind == ROLLING or m.kind == VELOCITY then
      settle(m, 0, actual - before, at, now)
    end
  end)
end

-- The time, which never goes back for a tenant; and what has expired by now.
local ticked
local function tick(now)
  now = max(now, last)
  if now == ticked then return now end
  ticked = now
  local expired = call("ZRANGEBYSCORE", KEYS[3], "-inf", exact(now), "WITHSCORES", "LIMIT", 0, MOST_CLOSED)
  for i = 1, #expired, 2 do
    local member, at = expired[i], max(tonumber(expired[i + 1]), last)
    local id = member:sub(17)
    local record = call("HGET", KEYS[2], id)
    call("ZREM", KEYS[3], member)
    if record then
      call("HDEL", KEYS[2], id)
      local packed = record:sub(18)
      if record:sub(1, 1) == "0" then
        close(packed, 0, 0, true, at)
      else
        local tokens, picousd = 0, 0
        each_entry(packed, function(m, amount)
          if m.measure == TOKENS then tokens = max(tokens, amount) end
          if m.measure == USD then picousd = max(picousd, amount) end
        end)
        close(packed, tokens, picousd, false, at)
        call("SET", PREFIX .. "late:" .. id, packed, "EX", LATE_SECONDS)
      end
    end
  end
  last = now
  return now
end

local function write_hold(id, dispatched, packed, expires_at)
  local number = format("%016.0f", call("HINCRBY", KEYS[1], "number", 1))
  call("HSET", KEYS[2], id, (dispatched and "1" or "0") .. number .. packed)
  call("ZADD", KEYS[3], exact(expires_at), number .. id)
end

local function record_of(meters, amounts, now)
  local record = {now}
  for i, m in ipairs(meters) do
    local size = #record
    record[size + 1], record[size + 2], record[size + 3] = m.key:sub(#PREFIX + 1), m.spec, amounts[i]
  end
  return cmsgpack.pack(record)
end

-- Take what a request needs of each meter, and note it as its hold.
local function enter(id, dispatched, meters, amounts, now)
  for i, m in ipairs(meters) do take(m, amounts[i], now) end
  write_hold(id, dispatched, record_of(meters, amounts, now), now + HOLD_SECONDS)
  call("EXPIRE", KEYS[2], TENANT_SECONDS)
  call("EXPIRE", KEYS[3], TENANT_SECONDS)
end

local function keep(id, dispatched, now)
  local record = call("HGET", KEYS[2], id)
  if not record then return end
  call("ZREM", KEYS[3], record:sub(2, 17) .. id)
  write_hold(id, dispatched, record:sub(18), now + HOLD_SECONDS)
end

local function settle_hold(id, tokens, picousd, released, now)
  local record = call("HGET", KEYS[2], id)
  if record then
    call("HDEL", KEYS[2], id)
    call("ZREM", KEYS[3], record:sub(2, 17) .. id)
    close(record:sub(18), tokens, picousd, released, now)
    return
  end
  local late = call("GET", PREFIX .. "late:" .. id)
  if late then
    call("DEL", PREFIX .. "late:" .. id)
    correct(late, tokens, picousd, released, now)
  elseif not known and call("HEXISTS", ANNOUNCED, id) == 1 then
    call("HSET", ENDED, id, cmsgpack.pack({tokens, picousd, released}))
    call("EXPIRE", ENDED, LATE_SECONDS)
  end
end

local function server_time()
  if ARGV[1] ~= "" then return tonumber(ARGV[1]) end
  local time = call("TIME")
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

-- The tenant's own time. When the clock was set back, it goes on from where it was: else nobody's minute would pass for hours.
local function own_time()
  local now = server_time() + ahead
  if now < last - SET_BACK_SECONDS then
    ahead = ahead + (last - now)
    call("HSET", KEYS[1], "ahead", exact(ahead))
    now = last
  end
  return now
end

-- What was queued: each a kind (0 keep, 1 keep as dispatched, 2 settle, 3 release), an id, the time or false, tokens, pico-dollars.
local function work_off()
  local time = own_time()
  if ARGV[3] ~= "" then
    for _, one in ipairs(cmsgpack.unpack(ARGV[3])) do
      local kind, id = one[1], one[2]
      local now = tick(one[3] and one[3] + ahead or time)
      if kind < 2 then
        keep(id, kind == 1, now)
      else
        settle_hold(id, one[4], one[5], kind == 3, now)
      end
    end
  end
  local before, now = tonumber(known_now) or 0, tick(time)
  call("HSET", KEYS[1], "now", exact(now))
  if floor(before / DAY) ~= floor(now / DAY) then call("EXPIRE", KEYS[1], TENANT_SECONDS) end
  return now
end

-- Which life of the tenant's counters this is: another number after they were lost and rebuilt, 0 in between.
local function told_life() return struct.pack("<d", known and tonumber(life) or 0) end

local function answer(head, tail)
  if #crossings == 0 and tail == nil then return head end
  return {head, cmsgpack.pack({crossings, tail or false})}
end

-- Requests that were announced, and that the ledger was read without, hold what they held; those that are over are settled.
-- ARGV: 4 seconds of a hold, 5 their ids (MessagePack).
local now = work_off()
for _, id in ipairs(cmsgpack.unpack(ARGV[5])) do
  local record = call("HGET", ANNOUNCED, id)
  if record and call("HEXISTS", KEYS[2], id) == 0 then
    local meters, amounts = {}, {}
    each_entry(record:sub(2), function(m, amount)
      meters[#meters + 1], amounts[#amounts + 1] = load(m, now), amount
    end)
    enter(id, record:sub(1, 1) == "1", meters, amounts, now)
    local ended = call("HGET", ENDED, id)
    if ended then
      local tokens, picousd, released = unpack(cmsgpack.unpack(ended))
      settle_hold(id, tokens, picousd, released, now)
    end
  end
  call("HDEL", ANNOUNCED, id)
end
return answer("")

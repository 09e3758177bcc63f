-- ARGV: cursor, how many to look at, then tenant, model, prompt version and user, each after a 1, or a 0
-- that says any. Of answers that an older release kept nobody knows whose they are: they go with every user.
-- Returns the next cursor and how many were dropped.
local found = redis.call('HSCAN', meta, ARGV[1], 'COUNT', ARGV[2])
local dropped = 0
for place = 1, #found[2], 2 do
  local told = cmsgpack.unpack(found[2][place + 1])
  local tenant = ARGV[3] == '0' or told[3] == ARGV[4]
  local model = ARGV[5] == '0' or told[4] == ARGV[6] or told[5] == ARGV[6]
  local version = ARGV[7] == '0' or told[6] == ARGV[8]
  local user = ARGV[9] == '0' or told[7] == nil or told[7] == ARGV[10]
  if tenant and model and version and user then
    drop(found[2][place])
    dropped = dropped + 1
  end
end
return {found[1], dropped}

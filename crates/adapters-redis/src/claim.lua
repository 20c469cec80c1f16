-- Gives a consumer what others gave back; else, where a sweep is due, what has been held too long.
-- KEYS: the stream. ARGV: the group, the consumer, how many, who holds what was given back, how many
-- milliseconds are too long, where the sweep goes on (empty: none is due).
-- Returns the entries, and where the sweep goes on: 0-0 when it came to the end.
local stream, group, consumer, limit, returned, long, cursor = KEYS[1], unpack(ARGV)

local given = redis.call('XPENDING', stream, group, '-', '+', limit, returned)
if #given > 0 then
  local claim = {'XCLAIM', stream, group, consumer, 0}
  for _, entry in ipairs(given) do
    claim[#claim + 1] = entry[1]
  end
  return {redis.call(unpack(claim)), cursor}
end
if cursor == '' then
  return {{}, cursor}
end

local swept = redis.call('XAUTOCLAIM', stream, group, consumer, long, cursor, 'COUNT', limit)
if swept[1] == '0-0' then
  -- Here and not by a command of its own: whoever takes something in between would lose it.
  for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local of = {}
    for at = 1, #fields, 2 do
      of[fields[at]] = fields[at + 1]
    end
    if of.pending == 0 and of.idle > tonumber(long) and of.name ~= returned then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, of.name)
    end
  end
end
return {swept[2], swept[1]}

-- How much waits. KEYS: the stream. ARGV: how many entries to weigh at each end.
-- Returns the length, the bytes and the oldest entry. The bytes are those of the fields; the length
-- times their mean where there are more entries than are weighed.
local length = redis.call('XLEN', KEYS[1])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])

local seen, weighed, bytes = {}, 0, 0
for _, entries in ipairs({first, last}) do
  for _, entry in ipairs(entries) do
    if not seen[entry[1]] then
      seen[entry[1]] = true
      weighed = weighed + 1
      for _, text in ipairs(entry[2]) do
        bytes = bytes + #text
      end
    end
  end
end
if weighed < length then
  bytes = math.floor(bytes * length / weighed)
end
return {length, bytes, first[1] or false}

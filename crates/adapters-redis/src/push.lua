-- Appends the first events that there is room for and says how many.
-- KEYS: the stream. ARGV: the limit, when they are pushed, the events.
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local fit = math.max(0, math.min(room, #ARGV - 2))
for at = 3, fit + 2 do
  redis.call('XADD', KEYS[1], '*', 'event', ARGV[at], 'at', ARGV[2])
end
return fit

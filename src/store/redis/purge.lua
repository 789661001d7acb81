-- Purges lapsed holds, as many as one call may.
--
-- KEYS  the counters
-- ARGV  1 now, or empty: the server's time
--       2 keep
-- gives whether some are left: 1 or 0

local now, keep = clock(ARGV[1]), tonumber(ARGV[2])
local counter = new()

for index = 1, #KEYS / 2 do
  open(counter, index, now)
  if is_due(counter) then purge(counter, keep) end
  if counter.was_purged then write(counter) end
  if is_due(counter) then return 1 end
end
return 0

-- Gives holds that live a new lease, never a shorter one than they have.
--
-- KEYS  the counters
-- ARGV  1 now, or empty: the server's time
--       2 lease
--       3 keep
--       4 linger: how much longer than needed keys live
--         then for each counter: the number of its holds, and the id of each

local now = clock(ARGV[1])
local lease, keep, linger = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local counter, next_ = new(), 5

for index = 1, #KEYS / 2 do
  local count = tonumber(ARGV[next_])
  local ids = { unpack(ARGV, next_ + 1, next_ + count) }
  next_ = next_ + count + 1
  open(counter, index, now)
  for _, id in ipairs(ids) do
    if counter.units > 0 and counter.id == id then
      file(counter)
      write(counter)
    end
  end
  local deadline = counter.now + lease
  local renewed = {}
  for at, old in ipairs(call('ZMSCORE', counter.holds, unpack(ids))) do
    if old and tonumber(old) > counter.now then
      table.insert(renewed, deadline)
      table.insert(renewed, ids[at])
    end
  end
  if #renewed > 0 then
    call('ZADD', counter.holds, 'XX', 'GT', unpack(renewed))
    -- Where a window never ends, keys do not expire, and this leaves them so.
    outlive(counter.key, deadline + keep, now, linger)
    outlive(counter.holds, deadline + keep, now, linger)
  end
end
return 0

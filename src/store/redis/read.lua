-- Reads counts. It writes nothing.
--
-- KEYS  the counters
-- ARGV  1 now, or empty: the server's time
--       2 keep
--         then for each counter, packed: its window; the units that are asked for; the ceiling
-- gives {now, 1, used, held, back, ...}  the counts of all counters, without what has lapsed; where a
--                                        window rolls, when the units fit, else 0
--       {now, 3, index}                  this counter's window has been over for `keep`
--       {now, 4}                         more has lapsed than one call may read: it is to be purged

local now, keep = clock(ARGV[1]), tonumber(ARGV[2])
local answer = { now, 1 }

for index = 1, #KEYS / 2 do
  local letter, number, asked, ceiling = unpacked('>c1ddd', ARGV[2 + index])
  if letter == 'e' and now >= number + keep then return { now, 3, index } end
  -- A new one each time: what has lapsed is taken from it, and that is not written.
  local counter = new()
  open(counter, index, now)
  counter.asked, counter.ceiling = asked, ceiling
  if is_due(counter) then
    if counter.deadline <= counter.now then lapse(counter, counter.units, counter.rule) end
    local ids = call('ZRANGEBYSCORE', counter.holds, after(counter.purged), counter.now,
      'LIMIT', 0, purgeable + 1)
    if #ids > purgeable then return { now, 4 } end
    purgeable = purgeable - #ids
    lapse_filed(counter, ids)
  end
  table.insert(answer, counter.used)
  table.insert(answer, counter.held)
  table.insert(answer, come_back_at(counter, missing(counter)))
end
return answer

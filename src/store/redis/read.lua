-- Reads counts. It writes nothing.
--
-- KEYS  the counters
-- ARGV  1 now, or empty: the server's time
--       2 keep
--         then for each counter: the end of its window, if it has one;
--                                the units that are asked for; the ceiling, or empty: none
-- gives {1, now, used, held, back, ...}  the counts of all counters, without what has lapsed; where a
--                                        window rolls, when the units fit, else 0
--       {3, now, index}            this counter's window has been over for `keep`

local now, keep = clock(ARGV[1]), tonumber(ARGV[2])
local answer = { 1, now }

for index = 1, #KEYS / 2 do
  local ends = tonumber(ARGV[3 * index])
  if ends and now >= ends + keep then return { 3, now, index } end
  local counter = open(index, now)
  counter.asked, counter.ceiling = tonumber(ARGV[3 * index + 1]), tonumber(ARGV[3 * index + 2])
  if is_due(counter) then
    if counter.deadline <= counter.now then lapse(counter, counter.units, counter.rule) end
    lapse_filed(counter, call('ZRANGEBYSCORE', counter.holds, after(counter.purged), counter.now))
  end
  table.insert(answer, counter.used)
  table.insert(answer, counter.held)
  table.insert(answer, come_back_at(counter, missing(counter)))
end
return answer

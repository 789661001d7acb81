-- Holds units of every counter, or of none.
--
-- KEYS  the counters
-- ARGV  1 now, or empty: the server's time
--       2 not_after: the latest instant at which units are held
--       3 patience: how far ahead of now that can be
--       4 the hold's id
--       5 lease
--       6 keep
--       7 linger: how much longer than needed keys live
--       8 and on, for each counter: units;
--                                   r: when the hold lapses they come back; c: they are charged;
--                                   the ceiling, or empty: none;
--                                   the end of its window, or empty: never, or f: it is not needed
--                                   without holds
-- gives {0, now, used, held, ...}  denied, with the counts of all counters
--       {1, now, used, held, ...}  granted: likewise, with this hold
--       {2, now}                   too late, or far too early
--       {3, now, index}            this counter's window has been over for `keep`

local now = clock(ARGV[1])
local not_after, patience = tonumber(ARGV[2]), tonumber(ARGV[3])
local id = ARGV[4]
local lease, keep, linger = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local function admits(counter)
  local total = counter.held + counter.units
  return total <= MAX_COUNT and (not counter.ceiling or counter.used + total <= counter.ceiling)
end

local function hold(counter)
  local deadline = counter.now + lease
  local first = counter.held == 0
  counter.held = counter.held + counter.units
  if counter.due == 0 or deadline < counter.due then counter.due = deadline end
  write(counter, id, counter.record)
  redis.call('ZADD', counter.holds, deadline, id)
  if not counter.ends then return end
  local until_ = math.max(counter.ends, deadline) + keep
  if not counter.exists then
    live(counter.key, until_, now, linger)
  elseif deadline > counter.ends then
    outlive(counter.key, until_, now, linger)
  end
  -- A sorted set that had become empty was deleted.
  if first then
    live(counter.holds, until_, now, linger)
  elseif deadline > counter.ends then
    outlive(counter.holds, until_, now, linger)
  end
end

if now > not_after or not_after - now > patience then return { 2, now } end

local counters = {}
for index = 1, #KEYS / 2 do
  local units, rule, ceiling, ends = unpack(ARGV, 4 + 4 * index, 7 + 4 * index)
  local window_end = tonumber(ends)
  if window_end and now >= window_end + keep then return { 3, now, index } end
  local counter = open(index, now, { id })
  counter.units, counter.record = tonumber(units), units .. rule
  counter.ceiling, counter.ends = tonumber(ceiling), ends == 'f' and 0 or window_end
  counters[index] = counter
end

local admitted, repeated = true, false
for _, counter in ipairs(counters) do
  if is_due(counter) then purge(counter, keep) end
  -- Nobody is denied because of units that have come back.
  while is_due(counter) and not admits(counter) do purge(counter, keep) end
  admitted = admitted and admits(counter)
  repeated = repeated or counter.fields[1] ~= false
end

local granted = admitted or repeated
local answer = { granted and 1 or 0, now }
for _, counter in ipairs(counters) do
  if admitted and not repeated then
    hold(counter)
  elseif counter.was_purged then
    write(counter)
  end
  table.insert(answer, counter.used)
  table.insert(answer, counter.held)
end
return answer

-- Holds units for one request after the other, of all of its counters or of none.
--
-- KEYS  the counters of the first request, those of the second, and so on
-- ARGV  1 now, or empty: the server's time
--       2 lease
--       3 keep
--       4 linger: how much longer than needed keys live
--         then for each request: the hold's id;
--                                not_after: the latest instant at which units are held;
--                                patience: how far ahead of now that can be;
--                                its rule;
--                                the number of its counters,
--                                and for each: the end of its window, or empty: never;
--                                              units; the ceiling, or empty: none
-- gives, for each request
--       {0, now, used, held, ...}  denied, with the counts of its counters
--       {1, now, used, held, ...}  granted: likewise, with this hold
--       {2, now}                   too late, or far too early
--       {3, now, number}           of its counters, this one's window has been over for `keep`

local now, lease, keep = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local linger = tonumber(ARGV[4])
local next_key, next_ = 1, 5
local answers = {}

local function admits(counter)
  local total = counter.held + counter.asked
  return total <= MAX_COUNT and (not counter.ceiling or counter.used + total <= counter.ceiling)
end

-- Holds what is asked of a counter: at hand if it can be, else on file.
local function hold(counter, id, rule)
  local deadline, ends = counter.now + lease, counter.ends
  local none_filed = counter.held == counter.units
  if counter.held == 0 or deadline < counter.due then counter.due = deadline end
  counter.held = counter.held + counter.asked
  local filed = counter.units > 0
  if filed then
    write(counter, id, record(counter.asked, rule))
    call('ZADD', counter.holds, deadline, id)
  else
    counter.units, counter.deadline, counter.rule, counter.id = counter.asked, deadline, rule, id
    write(counter)
  end
  if ends and not counter.exists then
    live(counter.key, math.max(ends, deadline) + keep, now, linger)
  elseif ends and deadline > ends then
    outlive(counter.key, deadline + keep, now, linger)
  end
  -- A sorted set that had become empty was deleted.
  if filed and (none_filed or ends and deadline > ends) then live_alike(counter) end
end

-- The counters of a request; or the number of one whose window has been over for `keep`.
local function counters_of(id, count)
  local counters, over = {}, nil
  for number = 1, count do
    local ends, asked, ceiling = unpack(ARGV, next_, next_ + 2)
    local counter = open(next_key, now, id)
    counter.ends = tonumber(ends)
    counter.asked = tonumber(asked)
    counter.ceiling = tonumber(ceiling)
    if counter.ends and now >= counter.ends + keep then over = over or number end
    counters[number] = counter
    next_key, next_ = next_key + 1, next_ + 3
  end
  return counters, over
end

local function decide(counters, id, rule)
  local admitted, known = true, false
  for _, counter in ipairs(counters) do
    if is_due(counter) then purge(counter, keep) end
    -- Nobody is denied because of units that have come back.
    while is_due(counter) and not admits(counter) do purge(counter, keep) end
    admitted = admitted and admits(counter)
    known = known or counter.fields[2] or counter.units > 0 and counter.id == id
  end
  local answer = { (admitted or known) and 1 or 0, now }
  for number, counter in ipairs(counters) do
    if admitted and not known then
      hold(counter, id, rule)
    elseif counter.was_purged then
      write(counter)
    end
    answer[2 * number + 1], answer[2 * number + 2] = counter.used, counter.held
  end
  return answer
end

while ARGV[next_] do
  local id, not_after, patience, rule, count = unpack(ARGV, next_, next_ + 4)
  next_ = next_ + 5
  local counters, over = counters_of(id, tonumber(count))
  local ahead = not_after - now
  if ahead < 0 or ahead > tonumber(patience) then
    table.insert(answers, { 2, now })
  elseif over then
    table.insert(answers, { 3, now, over })
  else
    table.insert(answers, decide(counters, id, rule))
  end
end
return answers

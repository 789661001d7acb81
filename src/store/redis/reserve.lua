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
--                                the number of its counters,
--                                and for each: the end of its window, or empty: never, or f: it is
--                                              not needed without holds, or w and the length of the
--                                              steps in which it rolls;
--                                              units; the hold's rule; the ceiling, or empty: none
-- gives, for each request
--       {0, now, used, held, back, ...}  denied, with the counts of its counters; where a window
--                                        rolls, when the units fit, else 0
--       {1, now, used, held, back, ...}  granted: likewise, with this hold, and when the first unit
--                                        comes back
--       {2, now}                         too late, or far too early
--       {3, now, number}                 of its counters, this one's window has been over for `keep`

local now, lease, keep = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local linger = tonumber(ARGV[4])
local next_key, next_ = 1, 5
local answers = {}

local function admits(counter)
  local total = counter.held + counter.asked
  return total <= MAX_COUNT and (not counter.ceiling or counter.used + total <= counter.ceiling)
end

-- Whether a hold is on record.
local function is_known(counter, id)
  if counter.units > 0 and counter.id == id then return true end
  -- Nothing is on file that is neither held nor purged.
  if counter.held == counter.units and counter.purged == 0 then return false end
  return call('HGET', counter.key, id) ~= false
end

-- Holds what is asked of a counter: at hand if it can be, else on file.
local function hold(counter, id)
  local deadline, ends, steps = counter.now + lease, counter.ends, counter.steps
  if steps then ends = (steps.newest + STEPS) * steps.step end
  local none_filed = counter.held == counter.units
  if counter.held == 0 or deadline < counter.due then counter.due = deadline end
  counter.held = counter.held + counter.asked
  local filed = counter.units > 0 or steps
  if filed then
    write(counter, id, record(counter, counter.asked, counter.asked_rule))
    call('ZADD', counter.holds, deadline, id)
  else
    counter.units, counter.deadline, counter.rule, counter.id =
      counter.asked, deadline, counter.asked_rule, id
    write(counter)
  end
  local moves = ends and (steps or deadline > ends)
  if ends and not counter.exists then
    live(counter.key, math.max(ends, deadline) + keep, now, linger)
  elseif moves then
    outlive(counter.key, math.max(ends, deadline) + keep, now, linger)
  end
  -- A sorted set that had become empty was deleted.
  if filed and (none_filed or moves) then live_alike(counter) end
end

-- The counter of a charge; and whether its window has been over for `keep`.
local function counter_of(key, ends, asked, rule, ceiling)
  local counter, window_end = open(key, now), tonumber(ends)
  counter.asked, counter.asked_rule, counter.ceiling = tonumber(asked), rule, tonumber(ceiling)
  if window_end then
    counter.ends = window_end
    return counter, now >= window_end + keep
  end
  if ends == 'f' then
    counter.ends = 0
  elseif ends ~= '' and not counter.steps then
    roll(counter, step_of(ends))
  end
  return counter, false
end

-- The counters of a request; or the number of one whose window has been over for `keep`.
local function counters_of(count)
  local counters, over = {}, nil
  for number = 1, count do
    local counter, is_over = counter_of(next_key, unpack(ARGV, next_, next_ + 3))
    if is_over then over = over or number end
    counters[number] = counter
    next_key, next_ = next_key + 1, next_ + 4
  end
  return counters, over
end

local function decide(counters, id)
  local admitted, known = true, false
  for _, counter in ipairs(counters) do
    if is_due(counter) then purge(counter, keep) end
    -- Nobody is denied because of units that have come back.
    while is_due(counter) and not admits(counter) do purge(counter, keep) end
    admitted = admitted and admits(counter)
    known = known or is_known(counter, id)
  end
  local granted = admitted or known
  local answer = { granted and 1 or 0, now }
  for number, counter in ipairs(counters) do
    if admitted and not known then
      hold(counter, id)
    elseif counter.was_purged then
      write(counter)
    end
    answer[3 * number], answer[3 * number + 1] = counter.used, counter.held
    answer[3 * number + 2] = come_back_at(counter, granted and 1 or missing(counter))
  end
  return answer
end

while ARGV[next_] do
  local id, not_after, patience, count = unpack(ARGV, next_, next_ + 3)
  next_ = next_ + 4
  local counters, over = counters_of(tonumber(count))
  local ahead = not_after - now
  if ahead < 0 or ahead > tonumber(patience) then
    table.insert(answers, { 2, now })
  elseif over then
    table.insert(answers, { 3, now, over })
  else
    table.insert(answers, decide(counters, id))
  end
end
return answers

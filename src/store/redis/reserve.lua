-- Holds units for one request after the other, of all of its counters or of none.
--
-- KEYS  the counters of the first request, those of the second, and so on
-- ARGV  1 now, or empty: the server's time
--       2 lease
--       3 keep
--       4 linger: how much longer than needed keys live
--         then for each request, packed: the hold's id;
--                                        not_after: the latest instant at which units are held;
--                                        patience: how far ahead of now that can be;
--                                        and for each of its counters: its window; the units; the
--                                        hold's rule; the ceiling
-- gives {now, ...}, and then for each request
--       0, used, held, back, ...  denied, with the counts of its counters; where a window rolls, when
--                                 the units fit, else 0
--       1, used, held, back, ...  granted: likewise, with this hold, and when the first unit comes back
--       2                         too late, or far too early
--       3, number                 of its counters, this one's window has been over for `keep`
--       4                         more has lapsed than one call may purge, and it may fit: ask again

local REQUEST, CHARGE = '>c16dd', '>c1ddc1d'

local now, lease, keep = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local linger = tonumber(ARGV[4])
-- The counters of a request, and more: there may be some of an earlier one behind them.
local counters = {}
local answers, told = { now }, 1
-- What is held of the one counter that is not written yet, if its `is_held` says so. It is written once,
-- however many requests it is asked for by one after the other: its holds that are put on file, as a
-- hash and as a sorted set take them, whether they are the only ones there, and which they are.
local fields, scores, none_filed, filed = {}, {}, false, {}

local function tell(answer)
  told = told + 1
  answers[told] = answer
end

-- Tells the counts of a counter, and when so many units come back.
local function tell_counts(counter, units)
  answers[told + 1], answers[told + 2] = counter.used, counter.held
  answers[told + 3] = come_back_at(counter, units)
  told = told + 3
end

local function admits(counter)
  local total = counter.held + counter.asked
  return total <= MAX_COUNT and counter.used + total <= counter.ceiling
end

-- Whether a hold is on record.
local function is_known(counter, id)
  if counter.units > 0 and counter.id == id or filed[id] then return true end
  -- Nothing is on file that is neither held nor purged.
  if counter.held == counter.units and counter.purged == 0 then return false end
  return call('HGET', counter.key, id) ~= false
end

-- Holds what is asked of a counter: at hand if it can be, else on file. It is to be written.
local function hold(counter, id)
  local deadline = counter.now + lease
  if counter.units > 0 or counter.steps then
    local at = #fields
    if at == 0 then none_filed = counter.held == counter.units end
    fields[at + 1], fields[at + 2] = id, record(counter, counter.asked, counter.asked_rule)
    scores[at + 1], scores[at + 2] = deadline, id
    filed[id] = true
  else
    counter.units, counter.deadline, counter.rule, counter.id =
      counter.asked, deadline, counter.asked_rule, id
  end
  if counter.held == 0 or deadline < counter.due then counter.due = deadline end
  counter.held = counter.held + counter.asked
  counter.is_held = true
end

-- Writes what is held of a counter, if it is not yet.
local function write_held(counter)
  if not counter.is_held then return end
  counter.is_held = false
  local deadline, ends, steps = counter.now + lease, counter.ends, counter.steps
  if steps then ends = (steps.newest + STEPS) * steps.step end
  local is_new, is_filed = not counter.exists, #fields > 0
  write(counter, unpack(fields))
  if is_filed then
    call('ZADD', counter.holds, unpack(scores))
    fields, scores, filed = {}, {}, {}
  end
  local moves = ends and (steps or deadline > ends)
  if ends and is_new then
    live(counter.key, max(ends, deadline) + keep, now, linger)
  elseif moves then
    outlive(counter.key, max(ends, deadline) + keep, now, linger)
  end
  -- A sorted set that had become empty was deleted.
  if is_filed and (none_filed or moves) then live_alike(counter) end
end

-- Opens the counters of a request: those from `first` on, which are said at `at`. Gives how many they
-- are; and which of them has been over for `keep`, if one has.
local function open_all(first, request, at)
  local count, over = 0, nil
  while at <= #request do
    local letter, number, asked, rule, ceiling
    letter, number, asked, rule, ceiling, at = unpacked(CHARGE, request, at)
    count = count + 1
    local counter = counters[count] or new()
    counters[count] = counter
    if counter.key ~= KEYS[2 * (first + count) - 3] then write_held(counter) end
    -- The first alone stays open for the next request: two could be the same counter's.
    if count > 1 then counter.key = '' end
    open(counter, first + count - 1, now)
    set_window(counter, letter, number)
    counter.asked, counter.asked_rule, counter.ceiling = asked, rule, ceiling
    if letter == 'e' and now >= number + keep then over = over or count end
  end
  return count, over
end

local function decide(count, id)
  local admitted, known, behind = true, false, false
  for number = 1, count do
    local counter = counters[number]
    if is_due(counter) then
      write_held(counter)
      purge(counter, keep)
      behind = behind or is_due(counter)
    end
    admitted = admitted and admits(counter)
    known = known or is_known(counter, id)
  end
  local granted = admitted or known
  -- Nobody is denied because of units that have come back.
  local again = behind and not granted
  tell(granted and 1 or again and 4 or 0)
  for number = 1, count do
    local counter = counters[number]
    if admitted and not known then
      hold(counter, id)
      if count > 1 then write_held(counter) end
    elseif counter.was_purged then
      write(counter)
    end
    if not again then tell_counts(counter, granted and 1 or missing(counter)) end
  end
end

local next_key = 1
for index = 5, #ARGV do
  local request = ARGV[index]
  local id, not_after, patience, at = unpacked(REQUEST, request)
  local count, over = open_all(next_key, request, at)
  next_key = next_key + count
  local ahead = not_after - now
  if ahead < 0 or ahead > patience then
    tell(2)
  elseif over then
    tell(3)
    tell(over)
  else
    decide(count, id)
  end
end
if counters[1] then write_held(counters[1]) end
return answers

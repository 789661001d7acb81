-- Changes what is used, in all counters or in none, once.
--
-- KEYS  the counters
-- ARGV  1 now, or empty: the server's time
--       2 keep
--       3 linger: how much longer than needed keys live
--       4 how long a line of changes is remembered after its last change
--       5 the field of the line: m:<nonce>
--       6 the number of the change in its line
--       7 d: adds the units; c: takes them away, down to 0; r: sets to 0
--       8 units
--       9 and on, for each counter: its window, packed
-- gives {now, 1}         done, now or before
--       {now, 3, index}  this counter's window has been over for `keep`: nothing was changed
--       {now, 4}         more has lapsed than one call may purge: nothing was changed, ask again

local now, keep, linger = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local remembered, line, sequence = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local kind, units = ARGV[7], tonumber(ARGV[8])

-- A line: the number of its last change, and when that was.
local LINE = '>I7I7'
local WINDOW = '>c1d'
-- How many fields a new line looks at, to make room for itself.
local LOOKED_AT = 8

-- Forgets old lines among some fields, drawn by lot: where lines come and go, those that are old stay
-- a small part of all fields, however many these are.
local function forget_lines(counter)
  local fields = call('HRANDFIELD', counter.key, LOOKED_AT, 'WITHVALUES')
  for at = 1, #fields, 2 do
    local field = fields[at]
    if #field == #line and string.sub(field, 1, 2) == 'm:' then
      local _, changed_at = unpacked(LINE, fields[at + 1])
      if now - changed_at > remembered then call('HDEL', counter.key, field) end
    end
  end
end

-- Takes from what is used, the latest first.
local function take(counter, wanted)
  if not counter.steps then return charge(counter, nil, -wanted) end
  for step = counter.steps.newest, counter.steps.newest - STEPS + 1, -1 do
    local before = counter.used
    charge(counter, step, -wanted)
    wanted = wanted - (before - counter.used)
  end
end

local function change(counter, is_new_line)
  local ends, steps, is_new = counter.ends, counter.steps, not counter.exists
  if kind == 'd' then charge(counter, nil, units)
  elseif kind == 'c' then take(counter, units)
  else take(counter, counter.used) end
  -- Also where it makes nothing of nothing: sent again, it must not change what came in between.
  write(counter, line, packed(LINE, sequence, now))
  if is_new_line then forget_lines(counter) end
  if steps then ends = (steps.newest + STEPS) * steps.step end
  if ends and is_new then
    live(counter.key, max(ends, now) + keep, now, linger)
  elseif steps then
    outlive(counter.key, ends + keep, now, linger)
  end
end

local counter = new()
for index = 1, #KEYS / 2 do
  local letter, number = unpacked(WINDOW, ARGV[8 + index])
  if letter == 'e' and now >= number + keep then return { now, 3, index } end
end
-- What has lapsed and is charged is used already, and must not be added after a reset.
for index = 1, #KEYS / 2 do
  open(counter, index, now)
  if is_due(counter) then purge(counter, keep) end
  if counter.was_purged then write(counter) end
  if is_due(counter) then return { now, 4 } end
end
for index = 1, #KEYS / 2 do
  open(counter, index, now)
  set_window(counter, unpacked(WINDOW, ARGV[8 + index]))
  local seen = call('HGET', counter.key, line)
  local last = seen and unpacked(LINE, seen) or 0
  if sequence > last then change(counter, not seen) end
end
return { now, 1 }

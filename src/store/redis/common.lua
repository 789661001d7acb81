-- What the scripts share. It is put before each of them.
--
-- A counter is two keys with the same hash tag:
--   a hash         s    its state, see STATE, and what follows it
--                  <id> a hold on file, its id 16 bytes: its units, its rule, and then, where the
--                       window rolls, the number of the step in which it was made
--                  m:<nonce> the last change that was made by a line of changes, and when
--   a sorted set   the holds on file: member <id>, score its deadline
-- A hold's rule says what becomes of its units when it lapses: r: they come back; c: they are
-- charged. One hold of a counter may be at hand, which is in the state: most holds that are alone
-- are to their end. Whoever renews or purges it puts it on file. Where the window rolls, none is.
--
-- KEYS come in pairs, the hash and the sorted set of each counter. Instants and lengths of time are
-- in milliseconds. A lapsed hold stays on record for `keep` after its deadline.
--
-- Packed arguments, which are quicker to read than words, have their numbers as Lua has them, in 8
-- bytes. A window is a letter and a number in them: e: it ends then; n: it never does; f: nor does
-- this one, and it is not needed without holds; w: it rolls in steps of that length.

local MAX_COUNT = 9000000000000000
-- The most fields that one command is given.
local BATCH = 1000
-- How many lapsed holds this call may still purge, or read, and how many old records it may delete: the
-- server does nothing else meanwhile. If there are more, the call says so, and is made again.
local purgeable, forgettable = 1000, 1000
-- A state is packed, for it is read and written by every call: as one field, without numbers to
-- parse, and, where the window does not roll, no longer than what a small hash may have in it.
--   used, held  units. Held are those of all holds whose deadline is after purged
--   purged      the deadline up to which lapsed holds have been purged from held
--   due         where something is held: no hold has a deadline after purged and before due
--   a letter    what follows: the rule of the hold at hand, if there is one, and then the rest of it;
--               w where the window rolls, and then a step's length, the number of the newest step,
--               and what is used in it and before it: <step>:<newest>:<used>,...; - is nothing
-- Of the hold at hand follow its units; its deadline, which is after purged; and its id.
local STATE = '>I7I7I7I7c1'
local AT_HAND = '>I7I7c16'
local STATE_AT_HAND = '>I7I7I7I7c1I7I7c16'

-- A unit counts in the step in which it was reserved and in 60 more.
local STEPS = 61

local call, packed, unpacked = redis.call, struct.pack, struct.unpack
local max, min = math.max, math.min

-- The instant that was told, else the server's.
local function clock(told)
  if told ~= '' then return tonumber(told) end
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lets a window roll that is cut into steps of this length.
local function roll(counter, step)
  counter.steps = { step = step, newest = math.floor(counter.now / step), used = {} }
end

-- The same as it was kept, without what does not count any more.
local function roll_on(counter, text)
  local step, newest, list = string.match(text, '^(%d+):(-?%d+):(.*)$')
  roll(counter, tonumber(step))
  local steps = counter.steps
  steps.newest = max(steps.newest, tonumber(newest))
  local age, sum = steps.newest - newest + 1, 0
  for used in string.gmatch(list, '%d+') do
    if age > STEPS then break end
    steps.used[age] = tonumber(used)
    sum, age = sum + steps.used[age], age + 1
  end
  counter.used = sum
end

-- What is used in each step, as it is kept.
local function kept(counter)
  local steps, list, last = counter.steps, {}, 0
  for age = 1, STEPS do
    list[age] = string.format('%.0f', steps.used[age] or 0)
    if steps.used[age] and steps.used[age] > 0 then last = age end
  end
  return string.format('%.0f:%.0f:', steps.step, steps.newest) .. table.concat(list, ',', 1, last)
end

-- Adds to what is used, or takes from it: in the step in which it was reserved, if that counts.
local function charge(counter, step, units)
  local steps = counter.steps
  if not steps then
    counter.used = max(0, min(counter.used + units, MAX_COUNT))
    return
  end
  local age = max(steps.newest - (step or steps.newest), 0) + 1
  if age > STEPS then return end
  local before = steps.used[age] or 0
  local after_ = max(0, before + min(units, MAX_COUNT - counter.used))
  steps.used[age] = after_
  counter.used = counter.used + after_ - before
end

-- When so many units, at least 1, have come back where the window rolls: 0 is never.
local function come_back_at(counter, units)
  local steps = counter.steps
  if not steps then return 0 end
  for age = STEPS, 1, -1 do
    units = units - (steps.used[age] or 0)
    if units <= 0 then return (steps.newest - age + 1 + STEPS) * steps.step end
  end
  if counter.held > 0 then return (steps.newest + STEPS) * steps.step end
  return 0
end

-- How many units have to come back before what is asked fits.
local function missing(counter)
  local total = counter.used + counter.held + counter.asked
  return max(1, total - counter.ceiling)
end

-- A counter that is to be opened. It serves for one after the other: making a table for each would
-- take about as long as what is done with them.
local function new()
  return {
    key = '', holds = '', exists = false, now = 0, was_purged = false,
    used = 0, held = 0, purged = 0, due = 0, steps = false,
    units = 0, deadline = 0, rule = '', id = '',
    ends = false, asked = 0, asked_rule = '', ceiling = 0, is_held = false,
  }
end

-- Opens the counter at the pair `index`. Its own time never runs back behind what was purged. If it is
-- open already, it is as it is kept: whoever changes it writes it.
local function open(counter, index, now)
  local key = KEYS[2 * index - 1]
  counter.was_purged = false
  if counter.key == key then return end
  local state = call('HGET', key, 's')
  counter.key, counter.holds, counter.exists = key, KEYS[2 * index], state ~= false
  counter.now, counter.steps, counter.units = now, false, 0
  if not state then
    counter.used, counter.held, counter.purged, counter.due = 0, 0, 0, 0
    return
  end
  local letter, at
  counter.used, counter.held, counter.purged, counter.due, letter, at = unpacked(STATE, state)
  if counter.purged > now then counter.now = counter.purged end
  if letter == 'w' then
    roll_on(counter, string.sub(state, at))
  elseif letter ~= '-' then
    counter.units, counter.deadline, counter.id = unpacked(AT_HAND, state, at)
    counter.rule = letter
  end
end

-- Tells a counter its window. `ends` is until when the counter is needed without holds: 0 is not at
-- all, false is for ever. Where the window rolls, its steps say it.
local function set_window(counter, letter, number)
  if letter == 'e' then
    counter.ends = number
  else
    counter.ends = letter == 'f' and 0
    if letter == 'w' and not counter.steps then roll(counter, number) end
  end
end

-- Writes a counter, with more fields.
local function write(counter, ...)
  local used, held, purged, due = counter.used, counter.held, counter.purged, counter.due
  local state
  if counter.units > 0 then
    state = packed(STATE_AT_HAND, used, held, purged, due, counter.rule,
      counter.units, counter.deadline, counter.id)
  elseif counter.steps then
    state = packed(STATE, used, held, purged, due, 'w') .. kept(counter)
  else
    state = packed(STATE, used, held, purged, due, '-')
  end
  call('HSET', counter.key, 's', state, ...)
  counter.exists = true
end

-- A hold as it is on file.
local function record(counter, units, rule)
  if not counter.steps then return string.format('%d%s', units, rule) end
  return string.format('%d%s%d', units, rule, counter.steps.newest)
end

-- The units of a hold on file, its rule, and its step.
local function parse(hold)
  local units, rule, step = string.match(hold, '^(%d+)(%a)(.*)$')
  return tonumber(units), rule, tonumber(step)
end

-- Moves the units of a hold that has lapsed to where they belong.
local function lapse(counter, units, rule, step)
  counter.held = counter.held - units
  if rule == 'c' then charge(counter, step, units) end
end

-- The same for holds on file.
local function lapse_filed(counter, ids)
  for from = 1, #ids, BATCH do
    local holds = call('HMGET', counter.key, unpack(ids, from, min(from + BATCH - 1, #ids)))
    for _, hold in ipairs(holds) do
      if hold then lapse(counter, parse(hold)) end
    end
  end
end

local function after(instant)
  return string.format('(%.0f', instant)
end

-- Whether holds may have lapsed that still are in `held`.
local function is_due(counter)
  return counter.held > 0 and counter.due <= counter.now
end

-- Lets the sorted set live as long as the hash.
local function live_alike(counter)
  local left = call('PTTL', counter.key)
  if left > 0 then
    call('PEXPIRE', counter.holds, left, 'NX')
    call('PEXPIRE', counter.holds, left, 'GT')
  end
end

-- Puts the hold at hand on file, if there is one. The caller writes the counter.
local function file(counter)
  if counter.units == 0 then return end
  call('HSET', counter.key, counter.id, record(counter, counter.units, counter.rule))
  call('ZADD', counter.holds, counter.deadline, counter.id)
  live_alike(counter)
  counter.units = 0
end

-- Deletes some records that are kept no longer.
local function forget(counter, keep)
  local old = call('ZRANGEBYSCORE', counter.holds, '-inf',
    min(counter.purged, counter.now - keep), 'LIMIT', 0, forgettable)
  forgettable = forgettable - #old
  if #old > 0 then
    call('ZREM', counter.holds, unpack(old))
    call('HDEL', counter.key, unpack(old))
  end
end

-- Purges lapsed holds, those of the earliest deadlines, as many as may be. Holds of one deadline are
-- purged together, for the cursor could not tell them apart: unless the clock stood still, they are no
-- more than the server could make or renew in a millisecond. The caller writes the counter.
local function purge(counter, keep)
  if purgeable <= 0 then return end
  file(counter)
  local last = call('ZRANGEBYSCORE', counter.holds, after(counter.purged), counter.now,
    'WITHSCORES', 'LIMIT', purgeable - 1, 1)[2] or counter.now
  local ids = call('ZRANGEBYSCORE', counter.holds, after(counter.purged), last)
  purgeable = purgeable - #ids
  if #ids > 0 then
    lapse_filed(counter, ids)
    counter.purged = tonumber(call('ZSCORE', counter.holds, ids[#ids]))
  end
  local next_ = call('ZRANGEBYSCORE', counter.holds, after(counter.purged), '+inf',
    'WITHSCORES', 'LIMIT', 0, 1)[2]
  counter.due = tonumber(next_ or 0)
  -- Also if the sorted set was evicted: what is not in it can neither be settled nor lapse.
  if not next_ then counter.held = 0 end
  forget(counter, keep)
  counter.was_purged = true
end

-- Lets a key live until an instant, and no shorter than it would already.
local function outlive(key, until_, now, linger)
  call('PEXPIRE', key, until_ - now + linger, 'GT')
end

-- The same for a key that was just created: to `outlive` it would seem to live forever.
local function live(key, until_, now, linger)
  call('PEXPIRE', key, until_ - now + linger)
end

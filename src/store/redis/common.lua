-- What the scripts share. It is put before each of them.
--
-- A counter is two keys with the same hash tag:
--   a hash         u    units used; where the window rolls, a step's length, the number of the newest
--                       step, and what is used in it and in those before it: <step>:<newest>:<used>,...
--                  h    units held: those of all holds whose deadline is after p
--                  p    the deadline up to which lapsed holds have been purged from h
--                  d    no hold has a deadline after p and before d; 0: there is none after p
--                  <id> a hold of 16 bytes: its units, then r (they come back) or c (are charged),
--                       then, where the window rolls, the number of the step in which it was made
--                  m:<nonce> the last change that was made by a line of changes
--   a sorted set   member <id>, score its deadline
-- KEYS come in pairs, the hash and the sorted set of each counter. Instants and lengths of time are
-- in milliseconds. A lapsed hold stays on record for `keep` after its deadline.

local MAX_COUNT = 9000000000000000
-- The most holds that are purged at a time, and the most fields that one command is given.
local BATCH = 1000

-- A unit counts in the step in which it was reserved and in 60 more.
local STEPS = 61

-- The instant that was told, else the server's.
local function clock(told)
  if told ~= '' then return tonumber(told) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lets a window roll that is cut into steps of this length: what is used becomes a table, and what
-- does not count any more is let go.
local function roll(counter, step, text)
  local newest = math.floor(counter.now / step)
  local steps = { step = step, newest = newest, used = {} }
  local sum = 0
  if text then
    local then_, list = string.match(text, ':(-?%d+):(.*)')
    steps.newest = math.max(newest, tonumber(then_))
    local age = steps.newest - then_ + 1
    for used in string.gmatch(list, '%d+') do
      if age <= STEPS then
        steps.used[age] = tonumber(used)
        sum = sum + steps.used[age]
      end
      age = age + 1
    end
  end
  counter.steps, counter.used = steps, sum
end

-- What is used, as it is kept.
local function kept(counter)
  local steps = counter.steps
  if not steps then return counter.used end
  local list, last = {}, 0
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
    counter.used = math.max(0, math.min(counter.used + units, MAX_COUNT))
    return
  end
  local age = math.max(steps.newest - (step or steps.newest), 0) + 1
  if age > STEPS then return end
  local before = steps.used[age] or 0
  local after_ = math.max(0, before + math.min(units, MAX_COUNT - counter.used))
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

-- The counter at the pair `index`, with the fields named `ids`. Its own time never runs back behind
-- what was purged.
local function open(index, now, ids)
  local key = KEYS[2 * index - 1]
  local fields = redis.call('HMGET', key, 'u', 'h', 'p', 'd', unpack(ids))
  local purged = tonumber(fields[3] or 0)
  local counter = {
    key = key,
    holds = KEYS[2 * index],
    exists = fields[1] ~= false,
    used = tonumber(fields[1] or 0),
    held = tonumber(fields[2] or 0),
    purged = purged,
    due = tonumber(fields[4] or 0),
    now = math.max(now, purged),
    fields = {},
  }
  for at = 1, #ids do counter.fields[at] = fields[4 + at] end
  if not counter.used then
    roll(counter, tonumber(string.match(fields[1], '^%d+')), fields[1])
  end
  return counter
end

-- Writes a counter, with more fields. What only a purge changes is left out where there was none.
local function write(counter, ...)
  if counter.exists and not counter.was_purged then
    redis.call('HSET', counter.key, 'u', kept(counter), 'h', counter.held, 'd', counter.due, ...)
    return
  end
  redis.call('HSET', counter.key, 'u', kept(counter), 'h', counter.held, 'p', counter.purged,
    'd', counter.due, ...)
end

-- The units of a hold as it is recorded, whether they are charged when it lapses, and the step.
local function parse(hold)
  local units, rule, step = string.match(hold, '^(%d+)(%a)(.*)$')
  return tonumber(units), rule == 'c', tonumber(step)
end

local function slices(list, apply)
  for from = 1, #list, BATCH do
    apply(unpack(list, from, math.min(from + BATCH - 1, #list)))
  end
end

-- Moves the units of holds that have lapsed to where they belong.
local function lapse_holds(counter, ids)
  slices(ids, function(...)
    for _, hold in ipairs(redis.call('HMGET', counter.key, ...)) do
      if hold then
        local units, charged, step = parse(hold)
        counter.held = counter.held - units
        if charged then charge(counter, step, units) end
      end
    end
  end)
end

local function after(instant)
  return string.format('(%.0f', instant)
end

-- Whether holds may have lapsed that still are in `held`.
local function is_due(counter)
  return counter.due > 0 and counter.due <= counter.now
end

-- Deletes records that are kept no longer.
local function forget(counter, keep)
  local old = redis.call('ZRANGEBYSCORE', counter.holds, '-inf',
    math.min(counter.purged, counter.now - keep), 'LIMIT', 0, BATCH)
  if #old > 0 then
    redis.call('ZREM', counter.holds, unpack(old))
    redis.call('HDEL', counter.key, unpack(old))
  end
end

-- Purges some lapsed holds, those of the earliest deadlines. Holds of one deadline are purged
-- together: the cursor could not tell them apart. The caller writes the counter.
local function purge(counter, keep)
  local last = redis.call('ZRANGEBYSCORE', counter.holds, after(counter.purged), counter.now,
    'WITHSCORES', 'LIMIT', BATCH - 1, 1)[2] or counter.now
  local ids = redis.call('ZRANGEBYSCORE', counter.holds, after(counter.purged), last)
  if #ids > 0 then
    lapse_holds(counter, ids)
    counter.purged = tonumber(redis.call('ZSCORE', counter.holds, ids[#ids]))
  end
  counter.due = tonumber(redis.call('ZRANGEBYSCORE', counter.holds, after(counter.purged), '+inf',
    'WITHSCORES', 'LIMIT', 0, 1)[2] or 0)
  forget(counter, keep)
  counter.was_purged = true
end

-- Lets a key live until an instant, and no shorter than it would already.
local function outlive(key, until_, now, linger)
  redis.call('PEXPIRE', key, until_ - now + linger, 'GT')
end

-- The same for a key that was just created: to `outlive` it would seem to live forever.
local function live(key, until_, now, linger)
  redis.call('PEXPIRE', key, until_ - now + linger)
end

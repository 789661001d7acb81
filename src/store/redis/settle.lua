-- Ends holds, each once. It creates no counter.
--
-- KEYS  the counters
-- ARGV  1 now, or empty: the server's time
--       2 keep
--       3 the settlements, packed: of each the hold's id;
--                                  the instant after which it may be settled
--         then for each counter, packed: of each of its settlements the index;
--                                        the units spent, or less than none: all that were held
-- gives the indices of the settlements that came too early; 0 if something is left to be settled, for
--       more had lapsed than one call may purge: ask again

local SETTLEMENT, SPENT = '>c16d', '>dd'

local now, keep = clock(ARGV[1]), tonumber(ARGV[2])
local ids, due, early = {}, {}, {}

-- Moves what was spent of a hold to where it belongs, by whether the hold lives, has lapsed, or has
-- lapsed so long ago that it counts as forgotten.
local function settle(counter, deadline, spent, units, rule, step)
  if spent < 0 then spent = units end
  local forgotten = deadline <= counter.now - keep
  if deadline > counter.purged then
    counter.held = counter.held - units
    if forgotten then spent = rule == 'c' and units or 0 end
  elseif forgotten then
    spent = 0
  elseif rule == 'c' then
    spent = spent - units
  end
  charge(counter, step, spent)
end

-- Whether some hold has been charged already.
local function corrects(counter, holds, deadlines)
  for at, deadline in ipairs(deadlines) do
    local hold = holds[at]
    if hold and deadline and tonumber(deadline) <= counter.purged then
      local _, rule = parse(hold)
      if rule == 'c' then return true end
    end
  end
  return false
end

-- Settles holds that are on file, if they are on record at all.
local function settle_filed(counter, ids, found)
  local deadlines = call('ZMSCORE', counter.holds, unpack(ids))
  local holds, ended = call('HMGET', counter.key, unpack(ids)), {}
  -- What was charged is taken from a `used` that has everything in it that is due.
  if is_due(counter) and corrects(counter, holds, deadlines) then
    purge(counter, keep)
    if is_due(counter) then
      write(counter)
      table.insert(early, 0)
      return 0
    end
  end
  for at, id in ipairs(ids) do
    if holds[at] and deadlines[at] then
      settle(counter, tonumber(deadlines[at]), found[id], parse(holds[at]))
      table.insert(ended, id)
    end
  end
  if #ended > 0 then
    call('ZREM', counter.holds, unpack(ended))
    call('HDEL', counter.key, unpack(ended))
  end
  return #ended
end

-- Ends the holds of a counter that are said.
local function settle_all(counter, said)
  local filed, found, ended, at = nil, nil, 0, 1
  while at <= #said do
    local index, spent
    index, spent, at = unpacked(SPENT, said, at)
    local id = ids[index]
    local at_hand = counter.units > 0 and counter.id == id
    if due[index] and at_hand and not filed then
      settle(counter, counter.deadline, spent, counter.units, counter.rule)
      counter.units, ended = 0, 1
    elseif due[index] and counter.exists and not (found and found[id]) then
      -- In its turn: a correction that comes earlier stops at 0.
      if at_hand then file(counter) end
      filed, found = filed or {}, found or {}
      found[id] = spent
      table.insert(filed, id)
    end
  end
  if filed then ended = ended + settle_filed(counter, filed, found) end
  if ended > 0 then write(counter) end
end

local settlements, at, count = ARGV[3], 1, 0
while at <= #settlements do
  local id, after_
  id, after_, at = unpacked(SETTLEMENT, settlements, at)
  count = count + 1
  ids[count], due[count] = id, now > after_
  if now <= after_ then table.insert(early, count) end
end

local counter = new()
for index = 1, #KEYS / 2 do
  open(counter, index, now)
  settle_all(counter, ARGV[3 + index])
end
return early

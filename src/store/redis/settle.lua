-- Ends holds, each once. It creates no key.
--
-- KEYS  the counters
-- ARGV  1 now, or empty: the server's time
--       2 keep
--       3 the number of settlements
--         for each settlement: the hold's id;
--                              the instant after which it may be settled, or empty: at once
--         then for each counter: the number of its settlements,
--                                and of each its index and
--                                the units spent, or empty: all that were held
-- gives the indices of the settlements that came too early

local now, keep = clock(ARGV[1]), tonumber(ARGV[2])
local settlements, early = {}, {}
local next_ = 4

local function take()
  next_ = next_ + 1
  return ARGV[next_ - 1]
end

-- Moves what was spent of a hold to where it belongs, by whether the hold lives, has lapsed, or has
-- lapsed so long ago that it counts as forgotten.
local function settle(counter, deadline, hold, spent)
  local units, charged = parse(hold)
  spent = spent or units
  local forgotten = deadline <= counter.now - keep
  if deadline > counter.purged then
    counter.held = counter.held - units
    if forgotten then spent = charged and units or 0 end
  elseif forgotten then
    spent = 0
  elseif charged then
    spent = spent - units
  end
  counter.used = math.max(0, math.min(counter.used + spent, MAX_COUNT))
end

-- Whether some hold has been charged already.
local function corrects(counter, deadlines)
  for at, deadline in ipairs(deadlines) do
    local hold = counter.fields[at]
    if hold and deadline and tonumber(deadline) <= counter.purged then
      local _, charged = parse(hold)
      if charged then return true end
    end
  end
  return false
end

for index = 1, tonumber(ARGV[3]) do
  local settlement = { id = take(), after = tonumber(take()) }
  settlements[index] = settlement
  if settlement.after and now <= settlement.after then table.insert(early, index) end
end

for index = 1, #KEYS / 2 do
  local ids, found = {}, {}
  for _ = 1, tonumber(take()) do
    local settlement, spent = settlements[tonumber(take())], take()
    local due = not settlement.after or now > settlement.after
    if due and not found[settlement.id] then
      found[settlement.id] = spent
      table.insert(ids, settlement.id)
    end
  end
  local counter = #ids > 0 and open(index, now, ids)
  if counter and counter.exists then
    local deadlines, ended = redis.call('ZMSCORE', counter.holds, unpack(ids)), {}
    -- What was charged is taken from a `used` that has everything in it that is due.
    if corrects(counter, deadlines) then
      while is_due(counter) do purge(counter, keep) end
    end
    for at, id in ipairs(ids) do
      if counter.fields[at] and deadlines[at] then
        settle(counter, tonumber(deadlines[at]), counter.fields[at], tonumber(found[id]))
        table.insert(ended, id)
      end
    end
    if #ended > 0 then
      if counter.held == 0 then counter.due = 0 end
      redis.call('ZREM', counter.holds, unpack(ended))
      redis.call('HDEL', counter.key, unpack(ended))
      write(counter)
    end
  end
end
return early

-- Makes a window the last one of a scope and a limit, or tells which one is.
--
-- KEYS  1 a hash: s and e, when the last window starts and ends
-- ARGV  1 now, or empty: the server's time
--       2 linger: how much longer than needed keys live
--       3 the start of the window
--       4 its end
--       5 the end of the last one, as far as the caller knows
--       6 until when it has to be known
--       7 keep
-- gives {start, end}  the last window, as texts: numbers are not exact here beyond 2^53
--       {}            the window starts more than `keep` from now: nothing was written

local now, linger = clock(ARGV[1]), tonumber(ARGV[2])
if tonumber(ARGV[3]) > now + tonumber(ARGV[7]) then return {} end
local last = call('HMGET', KEYS[1], 's', 'e')
if last[2] and tonumber(last[2]) > tonumber(ARGV[5]) then return last end
call('HSET', KEYS[1], 's', ARGV[3], 'e', ARGV[4])
live(KEYS[1], math.max(tonumber(ARGV[6]), now + 1), now, linger)
return { ARGV[3], ARGV[4] }

-- The tables of `SqliteBooks`, as `SqliteBooks::migrate` makes them. `quota_` stands for the prefix.
-- Times are in milliseconds since the Unix epoch. SQLite 3.37 or newer.

-- A row for each count: of a limit, of whoever it counts for, in a window.
CREATE TABLE IF NOT EXISTS quota_counter (
    -- Whose count it is, of which limit, from when on: see `RemoteCounter::key`.
    key BLOB NOT NULL PRIMARY KEY,
    -- Units that were spent. Those that unmarked holds are charged, whose lease has ended, are to be
    -- added: until then it may be negative.
    used INTEGER NOT NULL,
    -- Units of unmarked holds.
    held INTEGER NOT NULL,
    -- No unmarked hold's lease ends earlier. NULL if there is no such hold.
    lapse_at INTEGER,
    -- When the window ends.
    ends_at INTEGER NOT NULL,
    -- Where the window rolls, the length of a step; the number of the newest step, and what is used in
    -- it, in the one before it and so on, each in eight bytes. NULL elsewhere.
    step INTEGER,
    buckets BLOB
) STRICT, WITHOUT ROWID;

-- For the sweep: which windows are over.
CREATE INDEX IF NOT EXISTS quota_counter_ends_at ON quota_counter (ends_at);

-- A row for each hold and each counter that it is held of, until it is settled.
CREATE TABLE IF NOT EXISTS quota_hold (
    key BLOB NOT NULL,
    -- The hold's id: two unsigned numbers, stored as signed ones of the same bits.
    nonce INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    units INTEGER NOT NULL,
    -- Whether the units are charged when the lease ends; otherwise they come back.
    charge INTEGER NOT NULL,
    -- When the lease ends.
    deadline INTEGER NOT NULL,
    -- A mark: its lease has ended, and the counter says so.
    lapsed INTEGER NOT NULL,
    -- When it was made, if the window rolls. NULL elsewhere.
    made_at INTEGER,
    PRIMARY KEY (key, nonce, seq)
) STRICT, WITHOUT ROWID;

-- Whose lease has ended without a mark, and all that is asked to sum them up.
CREATE INDEX IF NOT EXISTS quota_hold_live
    ON quota_hold (key, deadline, charge, units, made_at, lapsed) WHERE NOT lapsed;

-- For the sweep: which records nobody will miss.
CREATE INDEX IF NOT EXISTS quota_hold_lapsed ON quota_hold (deadline) WHERE lapsed;

-- The last change of each line that a counter has seen, so that none is made twice.
CREATE TABLE IF NOT EXISTS quota_merged (
    key BLOB NOT NULL,
    nonce INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    -- When it was made.
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (key, nonce)
) STRICT, WITHOUT ROWID;

-- For the sweep: which lines have ended long ago.
CREATE INDEX IF NOT EXISTS quota_merged_seen_at ON quota_merged (seen_at);

-- The last window of each limit whose windows follow the profile's calendar.
CREATE TABLE IF NOT EXISTS quota_last_window (
    -- Whose, and of which limit: see `RemoteCounter::key_of_all_windows`.
    key BLOB NOT NULL PRIMARY KEY,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    -- Until then another calendar may have a window that began before this one ended.
    known_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- For the sweep: which windows need not be known any more.
CREATE INDEX IF NOT EXISTS quota_last_window_known_until ON quota_last_window (known_until);

-- The tables of `PostgresBooks`, as `PostgresBooks::migrate` makes them. `quota_` stands for the
-- prefix, with the schema before it if one is configured; the schema itself is not made here.
-- Times are in milliseconds since the Unix epoch. PostgreSQL 13 or newer.

-- A row for each count: of a limit, of whoever it counts for, in a window. Half of each page is left
-- free, so that an update finds room next to the row and no index has to follow it.
CREATE TABLE IF NOT EXISTS quota_counter (
    -- Whose count it is, of which limit, from when on: see `RemoteCounter::key`.
    key bytea PRIMARY KEY,
    -- Units that were spent. Those that unmarked holds are charged, whose lease has ended, are to be
    -- added: until then it may be negative.
    used bigint NOT NULL,
    -- Units of unmarked holds.
    held bigint NOT NULL,
    -- No unmarked hold's lease ends earlier. NULL if there is no such hold.
    lapse_at bigint,
    -- When the window ends.
    ends_at bigint NOT NULL,
    -- Where the window rolls, the length of a step; the number of the newest step, and what is used in
    -- it, in the one before it and so on, each in eight bytes. NULL elsewhere.
    step bigint,
    buckets bytea
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

-- For the sweep: which windows are over.
CREATE INDEX IF NOT EXISTS quota_counter_ends_at ON quota_counter (ends_at);

-- A row for each hold and each counter that it is held of, until it is settled. Rows come and go with
-- the requests: vacuum them early.
CREATE TABLE IF NOT EXISTS quota_hold (
    key bytea NOT NULL,
    -- The hold's id: two unsigned numbers, stored as signed ones of the same bits.
    nonce bigint NOT NULL,
    seq bigint NOT NULL,
    units bigint NOT NULL,
    -- Whether the units are charged when the lease ends; otherwise they come back.
    charge boolean NOT NULL,
    -- When the lease ends.
    deadline bigint NOT NULL,
    -- A mark: its lease has ended, and the counter says so.
    lapsed boolean NOT NULL,
    -- When it was made, if the window rolls. NULL elsewhere.
    made_at bigint,
    -- The id first: what a process makes one after the other lies together, and pages whose holds
    -- are all settled are used again.
    PRIMARY KEY (nonce, seq, key)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0,
    -- To cut a table off takes a lock on all of it; it would grow again at once.
    vacuum_truncate = false
);

-- Whose lease has ended without a mark.
CREATE INDEX IF NOT EXISTS quota_hold_live ON quota_hold (key, deadline, charge, units)
    WHERE NOT lapsed;

-- For the sweep: which records nobody will miss.
CREATE INDEX IF NOT EXISTS quota_hold_lapsed ON quota_hold (deadline) WHERE lapsed;

-- For the sweep: which counters still have such records.
CREATE INDEX IF NOT EXISTS quota_hold_lapsed_key ON quota_hold (key) WHERE lapsed;

-- The last change of each line that a counter has seen, so that none is made twice.
CREATE TABLE IF NOT EXISTS quota_merged (
    key bytea NOT NULL,
    nonce bigint NOT NULL,
    seq bigint NOT NULL,
    -- When it was made.
    seen_at bigint NOT NULL,
    PRIMARY KEY (key, nonce)
);

-- For the sweep: which lines have ended long ago.
CREATE INDEX IF NOT EXISTS quota_merged_seen_at ON quota_merged (seen_at);

-- The last window of each limit whose windows follow the profile's calendar.
CREATE TABLE IF NOT EXISTS quota_last_window (
    -- Whose, and of which limit: see `RemoteCounter::key_of_all_windows`.
    key bytea PRIMARY KEY,
    starts_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    -- Until then another calendar may have a window that began before this one ended.
    known_until bigint NOT NULL
);

-- For the sweep: which windows need not be known any more.
CREATE INDEX IF NOT EXISTS quota_last_window_known_until ON quota_last_window (known_until);

//! The statements, with the tables' names in them. Rows are given as one array for each column.

use sqlx::SqlStr;

use crate::store::sql::statements::{AFTER, LAPSE_AT, due, read};
use crate::store::sql::tables::Tables;

/// The server's clock, in milliseconds: of this moment, not of the transaction's beginning.
const CLOCK: &str = "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)";

/// Finds a hold `h` by the name that a row `w` has. The first column of the index is not asked for with
/// `=`, by which rows could be joined in either direction: where a server takes a table for empty, as
/// it does that of holds whenever it was analysed between two requests, it would read all of the index
/// and compare each hold with each name.
const BY_NAME: &str = "h.nonce = ANY (ARRAY[w.nonce]) AND h.seq = w.seq AND h.key = w.key";

/// All statements.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) time: SqlStr,
    pub(super) read: SqlStr,
    pub(super) reserve: SqlStr,
    pub(super) reserve_unlocked: SqlStr,
    pub(super) settle: SqlStr,
    pub(super) make: SqlStr,
    pub(super) unmake: SqlStr,
    pub(super) lock: SqlStr,
    pub(super) mark: SqlStr,
    pub(super) lapse_at: SqlStr,
    pub(super) due: SqlStr,
    pub(super) holds: SqlStr,
    pub(super) lines: SqlStr,
    pub(super) write: SqlStr,
    pub(super) put_lines: SqlStr,
    pub(super) closed: SqlStr,
    pub(super) after: SqlStr,
    pub(super) drop_marked: SqlStr,
    pub(super) drop_lines: SqlStr,
    pub(super) drop_counters: SqlStr,
    pub(super) last: SqlStr,
    pub(super) lock_windows: SqlStr,
    pub(super) put_windows: SqlStr,
    pub(super) drop_windows: SqlStr,
}

impl Statements {
    pub(super) fn new(tables: &Tables) -> Self {
        let named = |statement: &str| {
            let parts =
                [("{clock}", CLOCK), ("{by name}", BY_NAME), ("{has no holds}", HAS_NO_HOLDS)];
            let replace = |text: String, (name, part)| text.replace(name, part);
            tables.name_in(&parts.into_iter().fold(statement.to_owned(), replace))
        };
        let now = "coalesce($1, {clock})";
        Self {
            time: named("SELECT {clock}"),
            read: named(&format!("{} key = ANY ($2)", read(now, "string_agg"))),
            reserve: named(&RESERVE.replace("{waiting}", "")),
            reserve_unlocked: named(&RESERVE.replace("{waiting}", "SKIP LOCKED")),
            settle: named(SETTLE),
            make: named(MAKE),
            unmake: named("DELETE FROM {counter} WHERE key = ANY ($1)"),
            lock: named(LOCK),
            mark: named(MARK),
            lapse_at: named(LAPSE_AT),
            due: named(&due("string_agg")),
            holds: named(HOLDS),
            lines: named(LINES),
            write: named(WRITE),
            put_lines: named(PUT_LINES),
            closed: named(CLOSED),
            after: named(AFTER),
            drop_marked: named(DROP_MARKED),
            drop_lines: named(DROP_LINES),
            drop_counters: named(DROP_COUNTERS),
            last: named(LAST),
            lock_windows: named(LOCK_WINDOWS),
            put_windows: named(PUT_WINDOWS),
            drop_windows: named(DROP_WINDOWS),
        }
    }
}

/// Holds units for calls that take one counter each, which is there, has room, and has nothing due:
/// the counters' locks first, each with the clock read after it, then the holds. Of the calls of one
/// counter the first ones are granted, up to one that does not fit, so that each is told what was
/// held when its turn came. A row comes back for each that is granted; for the others nothing is
/// written. `{waiting}` says what to do about a counter that somebody else has locked.
const RESERVE: &str = "
    WITH asked AS MATERIALIZED (
        SELECT * FROM unnest(
            $1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::boolean[]
        ) WITH ORDINALITY
            AS w (key, units, ceiling, earliest, latest, closed, nonce, seq, charge, place)
    ), locked AS MATERIALIZED (
        SELECT key, used, held, lapse_at FROM {counter} WHERE key = ANY ($1)
        ORDER BY key FOR UPDATE {waiting}
    ), timed AS MATERIALIZED (
        SELECT locked.*, {clock} AS now FROM locked
    ), summed AS (
        SELECT w.*, t.used, t.held + sum(w.units) OVER line AS held, t.lapse_at, t.now
        FROM asked w JOIN timed t USING (key)
        WHERE (t.lapse_at IS NULL OR t.lapse_at > t.now)
            AND t.now BETWEEN w.earliest AND w.latest AND t.now < w.closed
        WINDOW line AS (PARTITION BY w.key ORDER BY w.place)
    ), judged AS (
        SELECT *, bool_and(
            held <= $10::bigint AND (ceiling IS NULL OR greatest(used, 0) + held <= ceiling)
        ) OVER (PARTITION BY key ORDER BY place) AS fits
        FROM summed
    ), granted AS MATERIALIZED (
        SELECT place, key, nonce, seq, units, charge, used, CAST(held AS bigint) AS held,
            least(lapse_at, now + $11::bigint) AS lapse_at, now
        FROM judged WHERE fits
    ), counted AS (
        UPDATE {counter} c SET held = g.held, lapse_at = g.lapse_at
        FROM (
            SELECT key, max(held) AS held, max(lapse_at) AS lapse_at FROM granted GROUP BY key
        ) g WHERE c.key = g.key
    ), kept AS (
        INSERT INTO {hold} (key, nonce, seq, units, charge, deadline, lapsed)
        SELECT key, nonce, seq, units, charge, now + $11, FALSE FROM granted
    )
    SELECT place, used, held, lapse_at, NULL::bigint AS step, NULL::bytea AS buckets, now
    FROM granted";

/// Ends live holds, if nothing is due of any of their counters: all of the counters' locks first, then
/// the clock. What the statement has not seen when it began cannot be settled by it: whoever asks
/// knows that the holds were made before. Says how many there were. A counter is updated from its
/// newest version. That a hold is live is said as no index has it, or one of all the live holds of a
/// counter would do for the server.
const SETTLE: &str = "
    WITH locked AS MATERIALIZED (
        SELECT lapse_at FROM {counter} WHERE key = ANY ($1) ORDER BY key FOR UPDATE
    ), timed AS MATERIALIZED (
        SELECT lapse_at, {clock} AS now FROM locked
    ), moment AS MATERIALIZED (
        SELECT max(now) AS now, min(lapse_at) AS lapse_at FROM timed
    ), dropped AS (
        DELETE FROM {hold} h
        USING unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[])
            AS w (key, nonce, seq, spent), moment m
        WHERE (m.lapse_at IS NULL OR m.lapse_at > m.now) AND {by name}
            AND CASE WHEN h.lapsed THEN FALSE ELSE h.deadline > m.now END
        RETURNING h.key, h.units, coalesce(w.spent, h.units) AS spent
    ), counted AS (
        UPDATE {counter} c
        SET used = CAST(least(greatest(c.used, 0) + s.spent, $5::bigint) AS bigint),
            held = c.held - s.units,
            lapse_at = CASE WHEN c.held > s.units THEN c.lapse_at END
        FROM (
            SELECT key, sum(spent) AS spent, CAST(sum(units) AS bigint) AS units
            FROM dropped GROUP BY key
        ) s WHERE c.key = s.key
    )
    SELECT count(*) FROM dropped";

/// Makes counters that are not there. Keys, ends.
const MAKE: &str = "
    INSERT INTO {counter} (key, used, held, ends_at)
    SELECT w.key, 0, 0, w.ends_at FROM unnest($1::bytea[], $2::bigint[]) AS w (key, ends_at)
    ORDER BY w.key
    ON CONFLICT (key) DO NOTHING RETURNING key";

/// Locks counters in the order of their keys. The clock is read after each lock: the last reading is
/// from after all of them.
const LOCK: &str = "
    WITH locked AS MATERIALIZED (
        SELECT key, used, held, lapse_at, step, buckets FROM {counter} WHERE key = ANY ($1)
        ORDER BY key FOR UPDATE
    )
    SELECT locked.*, {clock} AS now FROM locked";

/// Marks the first of the due holds of a counter. Key, now, at most.
const MARK: &str = "
    WITH w AS MATERIALIZED (
        SELECT key, nonce, seq FROM {hold} WHERE key = $1 AND NOT lapsed AND deadline <= $2
        ORDER BY deadline LIMIT $3
    )
    UPDATE {hold} h SET lapsed = TRUE FROM w WHERE {by name}
    RETURNING units, charge, deadline, lapsed, made_at";

/// Keys, nonces, numbers.
const HOLDS: &str = "
    SELECT h.* FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS w (key, nonce, seq)
    JOIN {hold} h ON {by name}";

/// Keys, nonces.
const LINES: &str = "
    SELECT m.* FROM unnest($1::bytea[], $2::bigint[]) AS w (key, nonce)
    JOIN {merged} m ON m.key = w.key AND m.nonce = w.nonce";

/// Counters (1 to 4, 14 to 16), holds that are settled (5 to 7), holds that are new or renewed (8 to
/// 13, and 17).
const WRITE: &str = "
    WITH counted AS (
        UPDATE {counter} c SET used = w.used, held = w.held, lapse_at = w.lapse_at,
            step = w.step, buckets = w.buckets, ends_at = coalesce(w.ends_at, c.ends_at)
        FROM unnest(
            $1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $14::bigint[], $15::bytea[],
            $16::bigint[]
        ) AS w (key, used, held, lapse_at, step, buckets, ends_at)
        WHERE c.key = w.key
    ), dropped AS (
        DELETE FROM {hold} h
        USING unnest($5::bytea[], $6::bigint[], $7::bigint[]) AS w (key, nonce, seq)
        WHERE {by name}
    )
    INSERT INTO {hold} (key, nonce, seq, units, charge, deadline, made_at, lapsed)
    SELECT w.*, FALSE FROM unnest(
        $8::bytea[], $9::bigint[], $10::bigint[], $11::bigint[], $12::boolean[], $13::bigint[],
        $17::bigint[]
    ) AS w
    ON CONFLICT (key, nonce, seq) DO UPDATE
    SET units = excluded.units, charge = excluded.charge, deadline = excluded.deadline,
        lapsed = FALSE";

/// Keys, nonces, numbers; now.
const PUT_LINES: &str = "
    INSERT INTO {merged} (key, nonce, seq, seen_at)
    SELECT w.*, $4 FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS w
    ON CONFLICT (key, nonce) DO UPDATE SET seq = excluded.seq, seen_at = excluded.seen_at";

/// Whether a counter `c` has no holds: looked up for each, in two indexes that have all of them. With
/// `OFFSET 0` no server makes a join of it, for which one that takes the table for empty would read all
/// holds.
const HAS_NO_HOLDS: &str = "
    NOT EXISTS (SELECT 1 FROM {hold} h WHERE h.key = c.key AND NOT lapsed OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM {hold} h WHERE h.key = c.key AND lapsed OFFSET 0)";

/// Finds counters whose windows are over and that have no holds any more. Since when; at most.
const CLOSED: &str = "SELECT key FROM {counter} c WHERE ends_at <= $1 AND {has no holds} LIMIT $2";

/// Whoever has locked a hold's row settles it: that is left to them, for to wait while counters are
/// locked after holds is a deadlock. Materialized, for else the server may look again for every row,
/// and delete more. Since when; at most.
const DROP_MARKED: &str = "
    WITH old AS MATERIALIZED (
        SELECT key, nonce, seq FROM {hold} WHERE lapsed AND deadline <= $1
        ORDER BY deadline LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {hold} h USING old w WHERE {by name}";

/// The same. Whoever has locked one goes on with it.
const DROP_LINES: &str = "
    WITH old AS MATERIALIZED (
        SELECT key, nonce FROM {merged} WHERE seen_at <= $1
        ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {merged} m USING old WHERE m.key = old.key AND m.nonce = old.nonce";

/// Keys, all of them locked; since when.
const DROP_COUNTERS: &str = "
    WITH gone AS (
        DELETE FROM {counter} c WHERE key = ANY ($1) AND ends_at <= $2 AND {has no holds}
        RETURNING key
    ), forgotten AS (
        DELETE FROM {merged} m USING gone WHERE m.key = gone.key
    )
    SELECT count(*) FROM gone";

/// Keys.
const LAST: &str = "SELECT key, starts_at, ends_at FROM {last_window} WHERE key = ANY ($1)";

/// Locks last windows in the order of their keys, those too that are not there: they are made, as over
/// long ago. Keys.
const LOCK_WINDOWS: &str = "
    INSERT INTO {last_window} (key, starts_at, ends_at, known_until)
    SELECT w.key, -9223372036854775808, -9223372036854775808, -9223372036854775808
    FROM unnest($1::bytea[]) AS w (key) ORDER BY w.key
    ON CONFLICT (key) DO UPDATE SET key = excluded.key
    RETURNING key, starts_at, ends_at";

/// Keys, starts, ends, and until when they have to be known.
const PUT_WINDOWS: &str = "
    UPDATE {last_window} o
    SET starts_at = w.starts_at, ends_at = w.ends_at, known_until = w.known_until
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[])
        AS w (key, starts_at, ends_at, known_until)
    WHERE o.key = w.key";

/// Whoever has locked one opens the next. Now; at most.
const DROP_WINDOWS: &str = "
    WITH old AS MATERIALIZED (
        SELECT key FROM {last_window} WHERE known_until <= $1
        ORDER BY known_until LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {last_window} o USING old WHERE o.key = old.key";

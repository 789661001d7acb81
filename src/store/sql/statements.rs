//! The statements that both databases understand. Parameters are numbered; booleans are integers in
//! SQLite, which reads `TRUE` as 1.

/// Sums up the due holds of a counter, and finds the next lease to end. Key, now.
pub(crate) const DUE: &str = "
    SELECT
        (SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold}
            WHERE key = $1 AND NOT lapsed AND deadline <= $2 AND NOT charge) AS back,
        (SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold}
            WHERE key = $1 AND NOT lapsed AND deadline <= $2 AND charge) AS charged,
        (SELECT min(deadline) FROM {hold} WHERE key = $1 AND NOT lapsed) AS lapse_at";

/// Reads counters with what is due, without a lock, and the books' clock also where there is none.
/// `{now}` says the time; the condition names the counters. Where the window rolls, what is due to be
/// charged is told hold by hold, in a text that `{list}` joins: when each was made, and its units.
pub(crate) const READ: &str = "
    SELECT t.now, key, used, held, lapse_at, step, buckets,
        CASE WHEN lapse_at <= t.now THEN (
            SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold} h
            WHERE h.key = c.key AND NOT lapsed AND deadline <= t.now AND NOT charge
        ) ELSE 0 END AS back,
        CASE WHEN lapse_at <= t.now AND step IS NULL THEN (
            SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold} h
            WHERE h.key = c.key AND NOT lapsed AND deadline <= t.now AND charge
        ) ELSE 0 END AS charged,
        CASE WHEN lapse_at <= t.now AND step IS NOT NULL THEN (
            SELECT {list}(made_at || ' ' || units, ' ') FROM {hold} h
            WHERE h.key = c.key AND NOT lapsed AND deadline <= t.now AND charge
        ) END AS charged_holds
    FROM (SELECT {now} AS now) t LEFT JOIN {counter} c ON ";

/// Looks through counters in the order of their keys. After which; at most.
pub(crate) const AFTER: &str =
    "SELECT key, lapse_at FROM {counter} WHERE key > $1 ORDER BY key LIMIT $2";

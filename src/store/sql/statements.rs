//! The statements that both databases understand. Parameters are numbered; booleans are integers in
//! SQLite, which reads `TRUE` as 1.

/// Marks the first of the due holds of a counter. Key, now, at most.
pub(crate) const MARK: &str = "
    UPDATE {hold} SET lapsed = TRUE
    WHERE (key, nonce, seq) IN (
        SELECT key, nonce, seq FROM {hold}
        WHERE key = $1 AND NOT lapsed AND deadline <= $2
        ORDER BY deadline LIMIT $3
    )
    RETURNING units, charge, deadline, lapsed, made_at";

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
/// charged is told step by step, in a text that `{list}` joins: when the first hold of a step was
/// made, and the units of all. The steps are those of `Rolling::bucket`, also before 1970, where a
/// division rounds up; holds of 62 steps ago and more, which count no longer, are told as one.
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
            SELECT {list}(made_at || ' ' || units, ',') FROM (
                SELECT min(made_at) AS made_at, sum(units) AS units,
                    CASE WHEN made_at / step > t.now / step - 62
                    THEN made_at / step - CASE WHEN made_at % step < 0 THEN 1 ELSE 0 END END AS place
                FROM {hold} h
                WHERE h.key = c.key AND NOT lapsed AND deadline <= t.now AND charge
                GROUP BY place
            ) s
        ) END AS charged_steps
    FROM (SELECT {now} AS now) t LEFT JOIN {counter} c ON ";

/// Finds counters whose windows are over and that have no holds any more. Since when; at most.
pub(crate) const CLOSED: &str = "
    SELECT key FROM {counter} c WHERE ends_at <= $1 AND NOT EXISTS (
        SELECT 1 FROM {hold} h WHERE h.key = c.key
    ) LIMIT $2";

/// Looks through counters in the order of their keys. After which; at most.
pub(crate) const AFTER: &str =
    "SELECT key, lapse_at FROM {counter} WHERE key > $1 ORDER BY key LIMIT $2";

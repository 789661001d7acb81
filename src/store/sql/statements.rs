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
    RETURNING units, charge, deadline, lapsed";

/// Sums up the due holds of a counter, and finds the next lease to end. Key, now.
pub(crate) const DUE: &str = "
    SELECT
        (SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold}
            WHERE key = $1 AND NOT lapsed AND deadline <= $2 AND NOT charge) AS back,
        (SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold}
            WHERE key = $1 AND NOT lapsed AND deadline <= $2 AND charge) AS charged,
        (SELECT min(deadline) FROM {hold} WHERE key = $1 AND NOT lapsed) AS lapse_at";

/// Reads counters with what is due, without a lock. Now; the condition names them.
pub(crate) const READ: &str = "
    SELECT key, used, held, lapse_at,
        CASE WHEN lapse_at <= $1 THEN (
            SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold} h
            WHERE h.key = c.key AND NOT lapsed AND deadline <= $1 AND NOT charge
        ) ELSE 0 END AS back,
        CASE WHEN lapse_at <= $1 THEN (
            SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold} h
            WHERE h.key = c.key AND NOT lapsed AND deadline <= $1 AND charge
        ) ELSE 0 END AS charged
    FROM {counter} c WHERE ";

//! The statements that both databases understand. Parameters are numbered; booleans are integers in
//! SQLite, which reads `TRUE` as 1.

/// Sums up the due holds of a counter, and finds the next lease to end. Key, now. `list`
/// joins texts.
pub(crate) fn due(list: &str) -> String {
    told(DUE, list)
}

/// Reads counters with what is due, without a lock, and the books' clock also where there is none.
/// `now` says the time, `list` joins texts; a condition is to follow that names the counters.
pub(crate) fn read(now: &str, list: &str) -> String {
    told(READ, list).replace("{now}", now)
}

fn told(statement: &str, list: &str) -> String {
    statement.replace("{what is due}", WHAT_IS_DUE).replace("{list}", list)
}

/// What is due of a counter `c` at `t.now`. Where the window rolls, what is charged is also told step
/// by step, in a text: when the first hold of a step was made, and the units of all. The steps are
/// those of `Rolling::bucket`, also before 1970, where a division rounds up. Those of 62 steps ago and
/// more count no longer, and are left out.
const WHAT_IS_DUE: &str = "
    CASE WHEN lapse_at <= t.now THEN (
        SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold} h
        WHERE h.key = c.key AND NOT lapsed AND deadline <= t.now AND NOT charge
    ) ELSE 0 END AS back,
    CASE WHEN lapse_at <= t.now THEN (
        SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM {hold} h
        WHERE h.key = c.key AND NOT lapsed AND deadline <= t.now AND charge
    ) ELSE 0 END AS charged,
    CASE WHEN lapse_at <= t.now AND step IS NOT NULL THEN (
        SELECT {list}(made_at || ' ' || units, ',') FROM (
            SELECT min(made_at) AS made_at, sum(units) AS units,
                made_at / step - CASE WHEN made_at % step < 0 THEN 1 ELSE 0 END AS place
            FROM {hold} h
            WHERE h.key = c.key AND NOT lapsed AND deadline <= t.now AND charge
                AND made_at / step > t.now / step - 62
            GROUP BY place
        ) s
    ) END AS charged_steps";

const DUE: &str = "
    SELECT {what is due},
        (SELECT min(deadline) FROM {hold} h WHERE h.key = $1 AND NOT lapsed) AS lapse_at
    FROM (SELECT CAST($2 AS bigint) AS now) t JOIN {counter} c ON c.key = $1";

const READ: &str = "
    SELECT t.now, key, used, held, lapse_at, step, buckets, {what is due}
    FROM (SELECT {now} AS now) t LEFT JOIN {counter} c ON ";

/// Looks through counters in the order of their keys. After which; at most.
pub(crate) const AFTER: &str =
    "SELECT key, lapse_at FROM {counter} WHERE key > $1 ORDER BY key LIMIT $2";

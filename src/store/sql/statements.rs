//! The statements that both databases understand. Parameters are numbered; booleans are integers in
//! SQLite, which reads `TRUE` as 1.

/// Sums up the due holds of a counter. Key, now. `list` joins texts.
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

/// What is due of a counter `c` at `t.now`, in a text: for each rule, r: they come back, c: they are
/// charged, the units of all holds, and when the first of them was made. Where the window rolls, what is
/// charged is told step by step: these are the steps of `Rolling::bucket`, also before 1970, where a
/// division rounds up. Those of 62 steps ago and more count no longer, and are told together.
const WHAT_IS_DUE: &str = "(
        SELECT {list}(rule || units || ' ' || made_at, ',') FROM (
            SELECT CASE WHEN charge THEN 'c' ELSE 'r' END AS rule, sum(units) AS units,
                coalesce(min(made_at), 0) AS made_at,
                CASE WHEN charge AND made_at / step > t.now / step - 62
                    THEN made_at / step - CASE WHEN made_at % step < 0 THEN 1 ELSE 0 END
                END AS place
            FROM {hold} h WHERE h.key = c.key AND NOT lapsed AND deadline <= t.now
            GROUP BY charge, place
        ) s
    )";

const DUE: &str = "
    SELECT {what is due} AS due
    FROM (SELECT CAST($2 AS bigint) AS now) t JOIN {counter} c ON c.key = $1";

const READ: &str = "
    SELECT t.now, key, used, held, lapse_at, step, buckets,
        CASE WHEN lapse_at <= t.now THEN {what is due} END AS due
    FROM (SELECT {now} AS now) t LEFT JOIN {counter} c ON ";

/// When the first lease of the unmarked holds of a counter ends. Key.
pub(crate) const LAPSE_AT: &str =
    "SELECT min(deadline) AS lapse_at FROM {hold} WHERE key = $1 AND NOT lapsed";

/// Looks through counters in the order of their keys. After which; at most.
pub(crate) const AFTER: &str =
    "SELECT key, lapse_at FROM {counter} WHERE key > $1 ORDER BY key LIMIT $2";

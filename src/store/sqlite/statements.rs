//! The statements, with the tables' names in them.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::store::sql::statements::{AFTER, LAPSE_AT, due, read};
use crate::store::sql::tables::Tables;

/// How many rows are read or written in one go at most. Each go hands statements to a thread and
/// their answers back, which takes longer than SQLite takes for a row.
pub(super) const TOGETHER: usize = 64;

/// A statement for a row, which is done for several in one go.
#[derive(Debug)]
pub(super) struct EachRow(SqlStr);

impl EachRow {
    /// The statement, so many times. It stays prepared for each number: they had better be few.
    pub(super) fn times(&self, rows: usize) -> SqlStr {
        AssertSqlSafe(vec![self.0.as_str(); rows].join(";")).into_sql_str()
    }
}

/// All statements.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) read: SqlStr,
    pub(super) counter: EachRow,
    pub(super) hold: EachRow,
    pub(super) line: SqlStr,
    pub(super) mark: SqlStr,
    pub(super) lapse_at: SqlStr,
    pub(super) due: SqlStr,
    pub(super) put_counter: EachRow,
    pub(super) put_hold: EachRow,
    pub(super) drop_hold: EachRow,
    pub(super) put_line: SqlStr,
    pub(super) closed: SqlStr,
    pub(super) after: SqlStr,
    pub(super) drop_marked: SqlStr,
    pub(super) drop_counter: SqlStr,
    pub(super) drop_lines: SqlStr,
    pub(super) drop_lines_of: SqlStr,
    pub(super) window: SqlStr,
    pub(super) put_window: SqlStr,
    pub(super) drop_windows: SqlStr,
}

impl Statements {
    pub(super) fn new(tables: &Tables) -> Self {
        let named = |statement: &str| tables.name_in(statement);
        let each = |statement: &str| EachRow(named(statement));
        Self {
            read: named(&format!("{} key = $2", read("$1", "group_concat"))),
            counter: each(
                "SELECT key, used, held, lapse_at, step, buckets FROM {counter} WHERE key = ?",
            ),
            hold: each(
                "SELECT key, nonce, seq, units, charge, deadline, lapsed, made_at FROM {hold}
                WHERE key = ? AND nonce = ? AND seq = ?",
            ),
            line: named("SELECT seq FROM {merged} WHERE key = $1 AND nonce = $2"),
            mark: named(
                "UPDATE {hold} SET lapsed = TRUE WHERE (key, nonce, seq) IN (
                    SELECT key, nonce, seq FROM {hold}
                    WHERE key = $1 AND NOT lapsed AND deadline <= $2
                    ORDER BY deadline LIMIT $3
                )
                RETURNING units, charge, deadline, lapsed, made_at",
            ),
            lapse_at: named(LAPSE_AT),
            due: named(&due("group_concat")),
            put_counter: each(
                "INSERT INTO {counter} (key, used, held, lapse_at, ends_at, step, buckets)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (key) DO UPDATE
                SET used = excluded.used, held = excluded.held, lapse_at = excluded.lapse_at,
                    step = excluded.step, buckets = excluded.buckets,
                    ends_at = iif(excluded.step IS NULL, {counter}.ends_at, excluded.ends_at)",
            ),
            put_hold: each(
                "INSERT INTO {hold} (key, nonce, seq, units, charge, deadline, made_at, lapsed)
                VALUES (?, ?, ?, ?, ?, ?, ?, FALSE)
                ON CONFLICT (key, nonce, seq) DO UPDATE
                SET units = excluded.units, charge = excluded.charge, deadline = excluded.deadline,
                    lapsed = FALSE",
            ),
            drop_hold: each("DELETE FROM {hold} WHERE key = ? AND nonce = ? AND seq = ?"),
            put_line: named(
                "INSERT INTO {merged} (key, nonce, seq, seen_at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (key, nonce) DO UPDATE
                SET seq = excluded.seq, seen_at = excluded.seen_at",
            ),
            closed: named(
                "SELECT key FROM {counter} c WHERE ends_at <= $1
                AND NOT EXISTS (SELECT 1 FROM {hold} h WHERE h.key = c.key) LIMIT $2",
            ),
            after: named(AFTER),
            drop_marked: named(
                "DELETE FROM {hold} WHERE (key, nonce, seq) IN (
                    SELECT key, nonce, seq FROM {hold} WHERE lapsed AND deadline <= $1
                    ORDER BY deadline LIMIT $2
                )",
            ),
            drop_counter: named(
                "DELETE FROM {counter} WHERE key = $1 AND ends_at <= $2
                AND NOT EXISTS (SELECT 1 FROM {hold} WHERE key = $1)",
            ),
            drop_lines: named(
                "DELETE FROM {merged} WHERE (key, nonce) IN (
                    SELECT key, nonce FROM {merged} WHERE seen_at <= $1 ORDER BY seen_at LIMIT $2
                )",
            ),
            drop_lines_of: named("DELETE FROM {merged} WHERE key = $1"),
            window: named("SELECT key, starts_at, ends_at FROM {last_window} WHERE key = $1"),
            put_window: named(
                "INSERT OR REPLACE INTO {last_window} (key, starts_at, ends_at, known_until)
                VALUES ($1, $2, $3, $4)",
            ),
            drop_windows: named(
                "DELETE FROM {last_window} WHERE key IN (
                    SELECT key FROM {last_window} WHERE known_until <= $1
                    ORDER BY known_until LIMIT $2
                )",
            ),
        }
    }
}

//! The rows of an SQLite file, in a transaction that has locked it.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, SqlStr, query};

use crate::clock::{Clock, Timestamp};
use crate::store::books::Lapse;
use crate::store::hold::HoldId;
use crate::store::sql::decode::{counter, due, hold, instant, key};
use crate::store::sql::draft::{Draft, Key, MARKED, Rows};
use crate::store::sql::rows::{CounterRow, Due, HoldRow, from_bits, to_bits};
use crate::store::sql::statements::{AFTER, CLOSED, DUE, MARK};
use crate::store::sql::sweep::SweptRows;
use crate::store::sql::tables::Tables;

/// The statements, with the tables' names in them.
#[derive(Debug)]
pub(super) struct Statements {
    counter: SqlStr,
    hold: SqlStr,
    line: SqlStr,
    mark: SqlStr,
    due: SqlStr,
    put_counter: SqlStr,
    put_hold: SqlStr,
    drop_hold: SqlStr,
    put_line: SqlStr,
    closed: SqlStr,
    after: SqlStr,
    drop_marked: SqlStr,
    drop_counter: SqlStr,
    drop_lines: SqlStr,
}

impl Statements {
    pub(super) fn new(tables: &Tables) -> Self {
        let named = |statement| tables.name_in(statement);
        Self {
            counter: named("SELECT used, held, lapse_at FROM {counter} WHERE key = $1"),
            hold: named(
                "SELECT units, charge, deadline, lapsed FROM {hold}
                WHERE key = $1 AND nonce = $2 AND seq = $3",
            ),
            line: named("SELECT seq FROM {merged} WHERE key = $1 AND nonce = $2"),
            mark: named(MARK),
            due: named(DUE),
            put_counter: named(
                "INSERT INTO {counter} (key, used, held, lapse_at, ends_at)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (key) DO UPDATE
                SET used = excluded.used, held = excluded.held, lapse_at = excluded.lapse_at",
            ),
            put_hold: named(
                "INSERT INTO {hold} (key, nonce, seq, units, charge, deadline, lapsed)
                VALUES ($1, $2, $3, $4, $5, $6, FALSE)
                ON CONFLICT (key, nonce, seq) DO UPDATE SET deadline = excluded.deadline",
            ),
            drop_hold: named("DELETE FROM {hold} WHERE key = $1 AND nonce = $2 AND seq = $3"),
            put_line: named(
                "INSERT INTO {merged} (key, nonce, seq) VALUES ($1, $2, $3)
                ON CONFLICT (key, nonce) DO UPDATE SET seq = excluded.seq",
            ),
            closed: named(CLOSED),
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
            drop_lines: named("DELETE FROM {merged} WHERE key = $1"),
        }
    }
}

/// A locked file.
#[derive(Debug)]
pub(super) struct SqliteRows<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    pub(super) statements: &'a Statements,
    pub(super) clock: &'a dyn Clock,
}

impl Rows for SqliteRows<'_> {
    async fn counters(
        &mut self,
        wanted: &BTreeMap<Key, Option<Timestamp>>,
    ) -> sqlx::Result<Vec<(Key, CounterRow)>> {
        let mut counters = Vec::new();
        for key in wanted.keys() {
            let select = query(self.statements.counter.clone()).bind(key.to_vec());
            if let Some(row) = select.fetch_optional(&mut *self.connection).await? {
                counters.push((key.clone(), counter(&row)?));
            }
        }
        Ok(counters)
    }

    async fn now(&mut self) -> sqlx::Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn mark(&mut self, key: &Key, now: Timestamp) -> sqlx::Result<Vec<HoldRow>> {
        let update = query(self.statements.mark.clone())
            .bind(key.to_vec())
            .bind(now.as_millis())
            .bind(MARKED);
        update.fetch_all(&mut *self.connection).await?.iter().map(hold).collect()
    }

    async fn due(&mut self, key: &Key, now: Timestamp) -> sqlx::Result<(Due, Option<Timestamp>)> {
        let select = query(self.statements.due.clone()).bind(key.to_vec()).bind(now.as_millis());
        let row = select.fetch_one(&mut *self.connection).await?;
        Ok((due(&row)?, instant(&row, "lapse_at")?))
    }

    async fn holds(
        &mut self,
        wanted: &[(Key, HoldId)],
    ) -> sqlx::Result<Vec<((Key, HoldId), HoldRow)>> {
        let mut holds = Vec::new();
        for (key, id) in wanted {
            let select = query(self.statements.hold.clone())
                .bind(key.to_vec())
                .bind(to_bits(id.nonce))
                .bind(to_bits(id.sequence));
            if let Some(row) = select.fetch_optional(&mut *self.connection).await? {
                holds.push(((key.clone(), *id), hold(&row)?));
            }
        }
        Ok(holds)
    }

    async fn lines(&mut self, wanted: &[(Key, u64)]) -> sqlx::Result<Vec<((Key, u64), u64)>> {
        let mut lines = Vec::new();
        for (key, nonce) in wanted {
            let select =
                query(self.statements.line.clone()).bind(key.to_vec()).bind(to_bits(*nonce));
            if let Some(row) = select.fetch_optional(&mut *self.connection).await? {
                lines.push(((key.clone(), *nonce), from_bits(row.try_get("seq")?)));
            }
        }
        Ok(lines)
    }

    async fn write(&mut self, draft: &Draft) -> sqlx::Result<()> {
        for (key, page) in draft.changed_counters() {
            let put = query(self.statements.put_counter.clone())
                .bind(key.to_vec())
                .bind(page.row.used)
                .bind(page.row.held)
                .bind(page.row.lapse_at.map(Timestamp::as_millis))
                .bind(page.ends_at.unwrap_or(Timestamp::MAX).as_millis());
            put.execute(&mut *self.connection).await?;
        }
        for ((key, id), row) in draft.put_holds() {
            let put = query(self.statements.put_hold.clone())
                .bind(key.to_vec())
                .bind(to_bits(id.nonce))
                .bind(to_bits(id.sequence))
                .bind(row.units)
                .bind(row.lapse == Lapse::Charge)
                .bind(row.deadline.as_millis());
            put.execute(&mut *self.connection).await?;
        }
        for (key, id) in draft.dropped_holds() {
            let drop = query(self.statements.drop_hold.clone())
                .bind(key.to_vec())
                .bind(to_bits(id.nonce))
                .bind(to_bits(id.sequence));
            drop.execute(&mut *self.connection).await?;
        }
        for ((key, nonce), sequence) in draft.changed_lines() {
            let put = query(self.statements.put_line.clone())
                .bind(key.to_vec())
                .bind(to_bits(*nonce))
                .bind(to_bits(sequence));
            put.execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

impl SweptRows for SqliteRows<'_> {
    async fn closed(&mut self, before: Timestamp, at_most: u32) -> sqlx::Result<Vec<Key>> {
        let select = query(self.statements.closed.clone()).bind(before.as_millis()).bind(at_most);
        let rows = select.fetch_all(&mut *self.connection).await?;
        rows.iter().map(key).collect()
    }

    async fn after(
        &mut self,
        last: &Key,
        at_most: u32,
    ) -> sqlx::Result<Vec<(Key, Option<Timestamp>)>> {
        let select = query(self.statements.after.clone()).bind(last.to_vec()).bind(at_most);
        let rows = select.fetch_all(&mut *self.connection).await?;
        rows.iter().map(|row| Ok((key(row)?, instant(row, "lapse_at")?))).collect()
    }

    async fn drop_marked(&mut self, before: Timestamp, at_most: u32) -> sqlx::Result<u32> {
        let delete =
            query(self.statements.drop_marked.clone()).bind(before.as_millis()).bind(at_most);
        let deleted = delete.execute(&mut *self.connection).await?.rows_affected();
        Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
    }

    async fn drop_counters(&mut self, keys: &[Key], before: Timestamp) -> sqlx::Result<u32> {
        let mut deleted = 0_u32;
        for key in keys {
            let delete = query(self.statements.drop_counter.clone())
                .bind(key.to_vec())
                .bind(before.as_millis());
            if delete.execute(&mut *self.connection).await?.rows_affected() > 0 {
                let lines = query(self.statements.drop_lines.clone()).bind(key.to_vec());
                lines.execute(&mut *self.connection).await?;
                deleted = deleted.saturating_add(1);
            }
        }
        Ok(deleted)
    }
}

//! The rows of an SQLite file, in a transaction that has locked it.

use std::collections::{BTreeMap, HashMap};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query};

use super::statements::Statements;

use crate::clock::{Clock, Timestamp};
use crate::limits::Span;
use crate::store::books::Lapse;
use crate::store::hold::HoldId;
use crate::store::sql::decode::{bucket_bytes, counter, due, hold, instant, key, step, window};
use crate::store::sql::draft::{Draft, Key, Rows};
use crate::store::sql::rows::{CounterRow, Due, HoldRow, from_bits, to_bits};
use crate::store::sql::sweep::SweptRows;

/// A locked file.
#[derive(Debug)]
pub(super) struct SqliteRows<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    pub(super) statements: &'a Statements,
    pub(super) clock: &'a dyn Clock,
    /// When the windows of counters end that are to be made.
    pub(super) ends: HashMap<Key, Timestamp>,
}

impl Rows for SqliteRows<'_> {
    async fn counters(
        &mut self,
        wanted: &BTreeMap<Key, Option<Timestamp>>,
    ) -> sqlx::Result<Vec<(Key, CounterRow)>> {
        let mut counters = Vec::new();
        for (key, end) in wanted {
            let select = query(self.statements.counter.clone()).bind(key.to_vec());
            if let Some(row) = select.fetch_optional(&mut *self.connection).await? {
                counters.push((key.clone(), counter(&row)?));
            } else if let Some(end) = end {
                self.ends.insert(key.clone(), *end);
            }
        }
        Ok(counters)
    }

    async fn now(&mut self) -> sqlx::Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn mark(
        &mut self,
        key: &Key,
        now: Timestamp,
        at_most: i64,
    ) -> sqlx::Result<Vec<HoldRow>> {
        let update = query(self.statements.mark.clone())
            .bind(key.to_vec())
            .bind(now.as_millis())
            .bind(at_most);
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

    async fn windows(&mut self, wanted: &[Key]) -> sqlx::Result<Vec<(Key, Span)>> {
        let mut windows = Vec::new();
        for key in wanted {
            let select = query(self.statements.window.clone()).bind(key.to_vec());
            if let Some(row) = select.fetch_optional(&mut *self.connection).await? {
                windows.push(window(&row)?);
            }
        }
        Ok(windows)
    }

    async fn write(&mut self, draft: &Draft) -> sqlx::Result<()> {
        for (key, page) in draft.changed_counters() {
            // Of one that is there, it stays what it is, unless its window rolls.
            let end = self.ends.get(key).copied();
            let end = page.row.needed_until().or(end).unwrap_or(Timestamp::MAX);
            let put = query(self.statements.put_counter.clone())
                .bind(key.to_vec())
                .bind(page.row.used)
                .bind(page.row.held)
                .bind(page.row.lapse_at.map(Timestamp::as_millis))
                .bind(end.as_millis())
                .bind(page.row.buckets.as_ref().map(step))
                .bind(page.row.buckets.as_ref().map(bucket_bytes));
            put.execute(&mut *self.connection).await?;
        }
        for ((key, id), row) in draft.put_holds() {
            let put = query(self.statements.put_hold.clone())
                .bind(key.to_vec())
                .bind(to_bits(id.nonce))
                .bind(to_bits(id.sequence))
                .bind(row.units)
                .bind(row.lapse == Lapse::Charge)
                .bind(row.deadline.as_millis())
                .bind(row.made_at.map(Timestamp::as_millis));
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
                .bind(to_bits(sequence))
                .bind(draft.now.as_millis());
            put.execute(&mut *self.connection).await?;
        }
        for (key, window, known_until) in draft.new_windows() {
            let put = query(self.statements.put_window.clone())
                .bind(key.to_vec())
                .bind(window.start.as_millis())
                .bind(window.end.as_millis())
                .bind(known_until.as_millis());
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

    async fn drop_lines(&mut self, before: Timestamp, at_most: u32) -> sqlx::Result<u32> {
        let delete =
            query(self.statements.drop_lines.clone()).bind(before.as_millis()).bind(at_most);
        let deleted = delete.execute(&mut *self.connection).await?.rows_affected();
        Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
    }

    async fn drop_windows(&mut self, now: Timestamp, at_most: u32) -> sqlx::Result<u32> {
        let delete =
            query(self.statements.drop_windows.clone()).bind(now.as_millis()).bind(at_most);
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
                let lines = query(self.statements.drop_lines_of.clone()).bind(key.to_vec());
                lines.execute(&mut *self.connection).await?;
                deleted = deleted.saturating_add(1);
            }
        }
        Ok(deleted)
    }
}

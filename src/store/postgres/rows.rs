//! The rows of a PostgreSQL database, in a transaction.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor, Row, SqlStr, query, query_scalar};

use super::statements::Statements;
use crate::clock::{Clock, Timestamp};
use crate::limits::Span;
use crate::store::books::Lapse;
use crate::store::hold::HoldId;
use crate::store::sql::decode::{counter, due, hold, instant, key, step, step_bytes, window};
use crate::store::sql::draft::{Draft, Key, Rows};
use crate::store::sql::rows::{CounterRow, Due, HoldRow, from_bits, to_bits};
use crate::store::sql::sweep::SweptRows;

/// A transaction.
#[derive(Debug)]
pub(super) struct PostgresRows<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) statements: &'a Statements,
    /// Begins the transaction.
    pub(super) begin: &'a SqlStr,
    pub(super) clock: Option<&'a dyn Clock>,
    /// The server's clock, read after the last lock.
    pub(super) locked_at: Option<Timestamp>,
    /// The counters that this transaction has made.
    pub(super) made: Vec<Key>,
}

impl PostgresRows<'_> {
    async fn lock(&mut self, keys: &[&[u8]]) -> sqlx::Result<Vec<(Key, CounterRow)>> {
        let select = query(self.statements.lock.clone()).bind(keys);
        let rows = select.fetch_all(&mut *self.connection).await?;
        self.locked_at = rows.last().map(|row| instant(row, "now")).transpose()?.flatten();
        rows.iter().map(|row| Ok((key(row)?, counter(row)?))).collect()
    }

    /// Makes counters. Whoever makes some waits for others who do, and must not have locked anything
    /// meanwhile: so the transaction begins again.
    async fn make(&mut self, keys: &[&[u8]], ends: &[i64]) -> sqlx::Result<()> {
        let again = sqlx::AssertSqlSafe(format!("ROLLBACK; {}", self.begin.as_str()));
        self.connection.execute(sqlx::raw_sql(again)).await?;
        let insert = query(self.statements.make.clone()).bind(keys).bind(ends);
        let made = insert.fetch_all(&mut *self.connection).await?;
        self.made = made.iter().map(key).collect::<sqlx::Result<_>>()?;
        Ok(())
    }

    async fn write_counts(&mut self, draft: &Draft) -> sqlx::Result<()> {
        let counters: Vec<_> = draft.changed_counters().collect();
        let held: Vec<_> = draft.put_holds().collect();
        if counters.is_empty() && held.is_empty() && draft.dropped_holds().next().is_none() {
            return Ok(());
        }
        let write = query(self.statements.write.clone())
            .bind(column(&counters, |(key, _)| &***key))
            .bind(column(&counters, |(_, page)| page.row.used))
            .bind(column(&counters, |(_, page)| page.row.held))
            .bind(column(&counters, |(_, page)| page.row.lapse_at.map(Timestamp::as_millis)));
        let write = bind_names(write, draft.dropped_holds());
        let write = bind_names(write, held.iter().map(|(name, _)| *name))
            .bind(column(&held, |(_, row)| row.units))
            .bind(column(&held, |(_, row)| row.lapse == Lapse::Charge))
            .bind(column(&held, |(_, row)| row.deadline.as_millis()))
            .bind(column(&counters, |(_, page)| page.row.steps.as_ref().map(step)))
            .bind(column(&counters, |(_, page)| page.row.steps.as_ref().map(step_bytes)))
            .bind(column(&counters, |(_, page)| page.row.needed_until().map(Timestamp::as_millis)))
            .bind(column(&held, |(_, row)| row.made_at.map(Timestamp::as_millis)));
        write.execute(&mut *self.connection).await.map(drop)
    }

    /// Leaves no counter behind that was made for nothing.
    async fn unmake(&mut self, draft: &Draft) -> sqlx::Result<()> {
        let is_changed = |key: &Key| draft.counters.get(key).is_some_and(|page| page.changed);
        let empty: Vec<&[u8]> =
            self.made.iter().filter(|key| !is_changed(key)).map(|key| &**key).collect();
        if !empty.is_empty() {
            let delete = query(self.statements.unmake.clone()).bind(empty);
            delete.execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

impl Rows for PostgresRows<'_> {
    async fn counters(
        &mut self,
        wanted: &BTreeMap<Key, Option<Timestamp>>,
    ) -> sqlx::Result<Vec<(Key, CounterRow)>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&[u8]> = wanted.keys().map(|key| &**key).collect();
        let found = self.lock(&keys).await?;
        let is_there = |key: &Key| found.iter().any(|(other, _)| other == key);
        let missing = wanted.iter().filter(|(key, _)| !is_there(key));
        let (made, ends): (Vec<&[u8]>, Vec<i64>) =
            missing.filter_map(|(key, end)| Some((&**key, (*end)?.as_millis()))).unzip();
        if made.is_empty() {
            return Ok(found);
        }
        self.make(&made, &ends).await?;
        self.lock(&keys).await
    }

    async fn now(&mut self) -> sqlx::Result<Timestamp> {
        if let Some(clock) = self.clock {
            return Ok(clock.now());
        }
        if let Some(locked_at) = self.locked_at {
            return Ok(locked_at);
        }
        let select = query_scalar(self.statements.time.clone());
        Ok(Timestamp::from_millis(select.fetch_one(&mut *self.connection).await?))
    }

    async fn mark(
        &mut self,
        key: &Key,
        now: Timestamp,
        at_most: u32,
    ) -> sqlx::Result<Vec<HoldRow>> {
        let update = query(self.statements.mark.clone())
            .bind(&**key)
            .bind(now.as_millis())
            .bind(i64::from(at_most));
        update.fetch_all(&mut *self.connection).await?.iter().map(hold).collect()
    }

    async fn lapse_at(&mut self, key: &Key) -> sqlx::Result<Option<Timestamp>> {
        let select = query(self.statements.lapse_at.clone()).bind(&**key);
        instant(&select.fetch_one(&mut *self.connection).await?, "lapse_at")
    }

    async fn due(&mut self, key: &Key, now: Timestamp) -> sqlx::Result<Due> {
        let select = query(self.statements.due.clone()).bind(&**key).bind(now.as_millis());
        due(&select.fetch_one(&mut *self.connection).await?)
    }

    async fn holds(
        &mut self,
        wanted: &[(Key, HoldId)],
    ) -> sqlx::Result<Vec<((Key, HoldId), HoldRow)>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let select = bind_names(query(self.statements.holds.clone()), wanted.iter());
        let rows = select.fetch_all(&mut *self.connection).await?;
        rows.iter().map(|row| Ok((name(row)?, hold(row)?))).collect()
    }

    async fn lines(&mut self, wanted: &[(Key, u64)]) -> sqlx::Result<Vec<((Key, u64), u64)>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (keys, nonces): (Vec<&[u8]>, Vec<i64>) =
            wanted.iter().map(|(key, nonce)| (&**key, to_bits(*nonce))).unzip();
        let select = query(self.statements.lines.clone()).bind(keys).bind(nonces);
        let rows = select.fetch_all(&mut *self.connection).await?;
        let line = |row| {
            let HoldId { nonce, sequence } = id(row)?;
            Ok(((key(row)?, nonce), sequence))
        };
        rows.iter().map(line).collect()
    }

    async fn windows(&mut self, wanted: &[Key]) -> sqlx::Result<Vec<(Key, Span)>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // Nobody can update one twice in a statement.
        let keys: BTreeSet<&[u8]> = wanted.iter().map(|key| &**key).collect();
        let keys: Vec<&[u8]> = keys.into_iter().collect();
        let lock = query(self.statements.lock_windows.clone()).bind(keys);
        lock.fetch_all(&mut *self.connection).await?.iter().map(window).collect()
    }

    async fn write(&mut self, draft: &Draft) -> sqlx::Result<()> {
        self.write_counts(draft).await?;
        let lines: Vec<_> = draft.changed_lines().collect();
        if !lines.is_empty() {
            let put = query(self.statements.put_lines.clone())
                .bind(column(&lines, |((key, _), _)| &**key))
                .bind(column(&lines, |((_, nonce), _)| to_bits(*nonce)))
                .bind(column(&lines, |(_, sequence)| to_bits(*sequence)))
                .bind(draft.now.as_millis());
            put.execute(&mut *self.connection).await?;
        }
        let windows: Vec<_> = draft.new_windows().collect();
        if !windows.is_empty() {
            let put = query(self.statements.put_windows.clone())
                .bind(column(&windows, |(key, ..)| &***key))
                .bind(column(&windows, |(_, window, _)| window.start.as_millis()))
                .bind(column(&windows, |(_, window, _)| window.end.as_millis()))
                .bind(column(&windows, |(.., known_until)| known_until.as_millis()));
            put.execute(&mut *self.connection).await?;
        }
        self.unmake(draft).await
    }
}

impl SweptRows for PostgresRows<'_> {
    async fn closed(&mut self, before: Timestamp, at_most: u32) -> sqlx::Result<Vec<Key>> {
        let select =
            query(self.statements.closed.clone()).bind(before.as_millis()).bind(i64::from(at_most));
        select.fetch_all(&mut *self.connection).await?.iter().map(key).collect()
    }

    async fn after(
        &mut self,
        last: &Key,
        at_most: u32,
    ) -> sqlx::Result<Vec<(Key, Option<Timestamp>)>> {
        let select = query(self.statements.after.clone()).bind(&**last).bind(i64::from(at_most));
        let rows = select.fetch_all(&mut *self.connection).await?;
        rows.iter().map(|row| Ok((key(row)?, instant(row, "lapse_at")?))).collect()
    }

    async fn drop_marked(&mut self, before: Timestamp, at_most: u32) -> sqlx::Result<u32> {
        let delete = query(self.statements.drop_marked.clone())
            .bind(before.as_millis())
            .bind(i64::from(at_most));
        let deleted = delete.execute(&mut *self.connection).await?.rows_affected();
        Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
    }

    async fn drop_lines(&mut self, before: Timestamp, at_most: u32) -> sqlx::Result<u32> {
        let delete = query(self.statements.drop_lines.clone())
            .bind(before.as_millis())
            .bind(i64::from(at_most));
        let deleted = delete.execute(&mut *self.connection).await?.rows_affected();
        Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
    }

    async fn drop_windows(&mut self, now: Timestamp, at_most: u32) -> sqlx::Result<u32> {
        let delete = query(self.statements.drop_windows.clone())
            .bind(now.as_millis())
            .bind(i64::from(at_most));
        let deleted = delete.execute(&mut *self.connection).await?.rows_affected();
        Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
    }

    async fn drop_counters(&mut self, keys: &[Key], before: Timestamp) -> sqlx::Result<u32> {
        let delete = query_scalar::<_, i64>(self.statements.drop_counters.clone())
            .bind(column(keys, |key| &**key))
            .bind(before.as_millis());
        let deleted = delete.fetch_one(&mut *self.connection).await?;
        Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Binds the keys, nonces and numbers of holds.
fn bind_names<'q, 'a>(
    query: Query<'q>,
    names: impl Iterator<Item = &'a (Key, HoldId)>,
) -> Query<'q> {
    let names: Vec<_> = names.collect();
    query
        .bind(column(&names, |(key, _)| &**key))
        .bind(column(&names, |(_, id)| to_bits(id.nonce)))
        .bind(column(&names, |(_, id)| to_bits(id.sequence)))
}

/// One column of rows.
pub(super) fn column<'a, T, C>(rows: &'a [T], of: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

fn id(row: &PgRow) -> sqlx::Result<HoldId> {
    let (nonce, sequence) = (from_bits(row.try_get("nonce")?), from_bits(row.try_get("seq")?));
    Ok(HoldId { nonce, sequence })
}

fn name(row: &PgRow) -> sqlx::Result<(Key, HoldId)> {
    Ok((key(row)?, id(row)?))
}

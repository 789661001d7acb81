//! The rows of an SQLite file, in a transaction that has locked it.

use std::collections::{BTreeMap, HashMap};

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Row, Sqlite, query};

use super::statements::{EachRow, Statements, TOGETHER};
use crate::clock::{Clock, Timestamp};
use crate::limits::Span;
use crate::store::books::Lapse;
use crate::store::hold::HoldId;
use crate::store::sql::decode::{counter, due, hold, instant, key, step, step_bytes, window};
use crate::store::sql::draft::{CounterPage, Draft, Key, Rows};
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
        let keys: Vec<_> = wanted.keys().collect();
        // Each once, though some are read twice.
        let mut counters = BTreeMap::new();
        for some in keys.chunks(TOGETHER) {
            let select = bind(&self.statements.counter, some, |it, key| it.bind(key.to_vec()));
            for row in select.fetch_all(&mut *self.connection).await? {
                counters.insert(key(&row)?, counter(&row)?);
            }
        }
        let made = wanted.iter().filter(|(key, _)| !counters.contains_key(*key));
        self.ends.extend(made.filter_map(|(key, end)| Some((key.clone(), (*end)?))));
        Ok(counters.into_iter().collect())
    }

    async fn now(&mut self) -> sqlx::Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn mark(
        &mut self,
        key: &Key,
        now: Timestamp,
        at_most: u32,
    ) -> sqlx::Result<Vec<HoldRow>> {
        let update = query(self.statements.mark.clone())
            .bind(key.to_vec())
            .bind(now.as_millis())
            .bind(at_most);
        update.fetch_all(&mut *self.connection).await?.iter().map(hold).collect()
    }

    async fn lapse_at(&mut self, key: &Key) -> sqlx::Result<Option<Timestamp>> {
        let select = query(self.statements.lapse_at.clone()).bind(key.to_vec());
        instant(&select.fetch_one(&mut *self.connection).await?, "lapse_at")
    }

    async fn due(&mut self, key: &Key, now: Timestamp) -> sqlx::Result<Due> {
        let select = query(self.statements.due.clone()).bind(key.to_vec()).bind(now.as_millis());
        due(&select.fetch_one(&mut *self.connection).await?)
    }

    async fn holds(
        &mut self,
        wanted: &[(Key, HoldId)],
    ) -> sqlx::Result<Vec<((Key, HoldId), HoldRow)>> {
        let mut holds = Vec::new();
        for some in wanted.chunks(TOGETHER) {
            let select = bind(&self.statements.hold, some, bind_name);
            for row in select.fetch_all(&mut *self.connection).await? {
                let [nonce, sequence] = [row.try_get("nonce")?, row.try_get("seq")?].map(from_bits);
                holds.push(((key(&row)?, HoldId { nonce, sequence }), hold(&row)?));
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
        let changed: Vec<_> = draft.changed_counters().collect();
        for some in changed.chunks(TOGETHER) {
            let bind_one = |put, row: &_| bind_counter(put, row, &self.ends);
            let put = bind(&self.statements.put_counter, some, bind_one);
            put.execute(&mut *self.connection).await?;
        }
        let new: Vec<_> = draft.put_holds().collect();
        for some in new.chunks(TOGETHER) {
            let put = bind(&self.statements.put_hold, some, bind_hold);
            put.execute(&mut *self.connection).await?;
        }
        let settled: Vec<_> = draft.dropped_holds().collect();
        for some in settled.chunks(TOGETHER) {
            let drop = bind(&self.statements.drop_hold, some, |it, name| bind_name(it, name));
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

/// A statement that is being bound.
type Bound = Query<'static, Sqlite, SqliteArguments>;

/// A statement for each row. Some are done twice, which makes no difference, so that there are few
/// numbers of them.
fn bind<T>(statement: &EachRow, rows: &[T], bind_one: impl Fn(Bound, &T) -> Bound) -> Bound {
    let times = rows.len().next_power_of_two();
    rows.iter().cycle().take(times).fold(query(statement.times(times)), bind_one)
}

fn bind_name(query: Bound, (key, id): &(Key, HoldId)) -> Bound {
    query.bind(key.to_vec()).bind(to_bits(id.nonce)).bind(to_bits(id.sequence))
}

fn bind_counter(
    query: Bound,
    (key, page): &(&Key, &CounterPage),
    ends: &HashMap<Key, Timestamp>,
) -> Bound {
    // Of one that is there, it stays what it is, unless its window rolls.
    let end = page.row.needed_until().or_else(|| ends.get(*key).copied());
    query
        .bind(key.to_vec())
        .bind(page.row.used)
        .bind(page.row.held)
        .bind(page.row.lapse_at.map(Timestamp::as_millis))
        .bind(end.unwrap_or(Timestamp::MAX).as_millis())
        .bind(page.row.steps.as_ref().map(step))
        .bind(page.row.steps.as_ref().map(step_bytes))
}

fn bind_hold(query: Bound, (name, row): &(&(Key, HoldId), &HoldRow)) -> Bound {
    bind_name(query, name)
        .bind(row.units)
        .bind(row.lapse == Lapse::Charge)
        .bind(row.deadline.as_millis())
        .bind(row.made_at.map(Timestamp::as_millis))
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

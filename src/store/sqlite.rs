//! Books in an SQLite file.

mod builder;
mod rows;
mod statements;
mod sweeper;
mod writer;

use std::fmt;
use std::path::Path;
use std::slice;
use std::sync::Arc;

use sqlx::sqlite::SqlitePool;
use sqlx::{Executor, SqlStr, query};

use super::books::{
    Lease, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteOpening, RemoteReserve,
    RemoteSettlement, RemoteVerdict, Renewal,
};
use super::hold::HoldId;
use super::sql::decode::window;
use super::sql::job::{Ask, Job, answered};
use super::sql::line::Line;
use super::sql::read::Found;
use super::sql::sweep::{Cursor, sweep};
use super::sql::verbs::Verb;
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
use crate::limits::Span;
use builder::Source;
pub use builder::SqliteBooksBuilder;
use sweeper::SqliteSweeper;
use writer::{Writer, failure};

/// Books in an SQLite file, which the processes of one machine can share.
///
/// Counts outlive a restart: what was answered has been written and synced. One connection writes,
/// of each `SqliteBooks`: a process does best with one of them for a file. Calls that come while it is busy wait in line, in the order in which they
/// came, and are written together in one transaction.
///
/// [`migrate`](Self::migrate) makes the tables; nothing else does.
///
/// ```no_run
/// use tower_quota::store::SqliteBooks;
///
/// # async fn open() -> Result<(), tower_quota::StoreError> {
/// let books = SqliteBooks::builder("/var/lib/app/quota.db").connect().await?;
/// books.migrate().await?;
/// # Ok(())
/// # }
/// ```
///
/// The tables:
///
/// ```sql
#[doc = include_str!("sql/sqlite.sql")]
/// ```
pub struct SqliteBooks {
    readers: SqlitePool,
    schema: SqlStr,
    writer: Arc<Writer>,
    line: Arc<Line<dyn Job>>,
    cursor: Cursor,
}

impl SqliteBooks {
    /// Books in the file at `path`, which is made if it is not there.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBooksBuilder {
        SqliteBooksBuilder::new(Source::File(path.as_ref().to_owned()))
    }

    /// Books that use connections of `pool`, one of them to write. How durable they are and how long
    /// they wait for a locked file is up to the pool.
    pub fn from_pool(pool: SqlitePool) -> SqliteBooksBuilder {
        SqliteBooksBuilder::new(Source::Pool(pool))
    }

    /// Makes the tables that are not there yet. Many processes may do so at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let fail = |error| failure(error).of("migrate");
        let mut transaction = self.writer.begin().await.map_err(fail)?;
        transaction.execute(sqlx::raw_sql(self.schema.clone())).await.map_err(fail)?;
        transaction.commit().await.map_err(fail)
    }

    /// Puts a verb in line and waits for its answer.
    async fn ask<V: Verb + 'static>(&self, verb: V) -> Result<V::Answer, StoreError> {
        let (ask, answer) = Ask::new(verb);
        if let Some(worker) = self.line.push(Box::new(ask)) {
            tokio::spawn(self.writer.clone().work(worker));
        }
        answered::<V>(answer).await
    }

    async fn find(&self, counter: &RemoteCounter, now: Timestamp) -> sqlx::Result<Found> {
        let select =
            query(self.writer.statements.read.clone()).bind(now.as_millis()).bind(counter.key());
        let row = select.fetch_one(&self.readers).await?;
        Found::new(slice::from_ref(&row))
    }

    async fn find_last(&self, counter: &RemoteCounter) -> sqlx::Result<Option<Span>> {
        let statement = self.writer.statements.window.clone();
        let select = query(statement).bind(counter.key_of_all_windows());
        let row = select.fetch_optional(&self.readers).await?;
        Ok(row.as_ref().map(window).transpose()?.map(|(_, last)| last))
    }
}

impl fmt::Debug for SqliteBooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBooks").field("lease", &self.writer.lease).finish_non_exhaustive()
    }
}

impl RemoteBooks for SqliteBooks {
    fn lease(&self) -> Lease {
        self.writer.lease
    }

    async fn reserve(&self, request: &RemoteReserve) -> Result<RemoteVerdict, StoreError> {
        self.ask(request.clone()).await
    }

    async fn settle(&self, batch: &[RemoteSettlement]) -> Result<Vec<HoldId>, StoreError> {
        self.ask(batch.to_vec()).await
    }

    async fn renew(&self, batch: &[Renewal]) -> Result<(), StoreError> {
        self.ask(batch.to_vec()).await
    }

    async fn read(&self, charges: &[RemoteCharge], units: u64) -> Result<Vec<Count>, StoreError> {
        let now = self.writer.clock.now();
        let mut counts = Vec::new();
        for charge in charges {
            let found = self.find(&charge.counter, now).await;
            let found = found.map_err(|error| failure(error).of("count"))?;
            counts.extend(found.counts(slice::from_ref(charge), units, self.writer.lease)?);
        }
        Ok(counts)
    }

    async fn change(&self, change: &RemoteChange) -> Result<(), StoreError> {
        self.ask(change.clone()).await
    }

    async fn open(&self, opening: &RemoteOpening) -> Result<Span, StoreError> {
        self.ask(opening.clone()).await
    }

    async fn last(&self, counters: &[RemoteCounter]) -> Result<Vec<Option<Span>>, StoreError> {
        let mut windows = Vec::new();
        for counter in counters {
            let last = self.find_last(counter).await;
            windows.push(last.map_err(|error| failure(error).of("read windows"))?);
        }
        Ok(windows)
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        Ok(self.writer.clock.now())
    }

    async fn sweep(&self, at_most: u32) -> Result<u32, StoreError> {
        let sweeper = SqliteSweeper { writer: &self.writer, cursor: &self.cursor };
        let swept = sweep(&sweeper, at_most).await;
        swept.map_err(|error| failure(error).of("sweep"))
    }
}

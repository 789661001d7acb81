//! Books in a PostgreSQL database.

mod builder;
mod lent;
mod lost;
mod rows;
mod rush;
mod session;
mod settle_short;
mod short_way;
mod statements;
mod sweeper;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, query, query_scalar};
use tokio::time::timeout;

use super::books::{
    Lease, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteOpening, RemoteReserve,
    RemoteSettlement, RemoteVerdict, Renewal,
};
use super::hold::HoldId;
use super::sql::decode::window;
use super::sql::draft::Key;
use super::sql::job::{Ask, answer_all, answered};
use super::sql::read::Found;
use super::sql::sweep::{Cursor, sweep};
use super::sql::tables::Tables;
use super::sql::verbs::Verb;
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
use crate::limits::Span;
pub use builder::PostgresBooksBuilder;
use builder::Source;
use rush::Rush;
use session::{OVER, Session, failure};
use short_way::{Short, ShortWay};
use sweeper::PostgresSweeper;

/// Books in a PostgreSQL database, which many processes share.
///
/// To hold units of one counter takes one statement, in which calls of a process that come at the same
/// time are done together; to settle holds takes one as well. To hold units of several counters, or
/// where something stands in the way, takes a transaction. Rows
/// are locked in one order, counters by their keys and then holds, so that no transactions wait
/// for each other in a cycle. The time is the server's.
///
/// If the server ends a connection, and says so, a call of one counter that was sent there is done on
/// another one. If a connection is lost without a word, all calls that shared the statement, up to 64,
/// fail with a transient error: the statement may still be under way, and would make a hold that was
/// made and settled in its place a second time.
///
/// # What a crash of the server can undo
///
/// What was answered is as durable as the server's `synchronous_commit` makes it. With `on`, its
/// default, it outlives a crash of the server; and the loss of the server too if there is a
/// synchronous standby. With `off`, a crash can undo what was written in the last moments before it,
/// up to three times `wal_writer_delay`: 0.6 seconds. A failover to an asynchronous standby undoes
/// what that had not received yet. Afterwards
///
/// - grants over a limit are at most those whose writes were undone: their holds, or what was charged
///   for them;
/// - a hold whose settlement was undone [lapses](super::RemoteOptions::lapse) when its lease ends, and
///   its units stay held until then;
/// - a settlement of a hold that was undone changes nothing, and no count is negative.
///
/// Where that is little enough, `ALTER ROLE app SET synchronous_commit = off` makes the books faster
/// on a slow disk. Not so `fsync = off`, after which a crash can ruin the tables.
///
/// [`migrate`](Self::migrate) makes the tables; nothing else does.
///
/// ```no_run
/// use tower_quota::store::PostgresBooks;
///
/// # async fn open() -> Result<(), tower_quota::StoreError> {
/// let books = PostgresBooks::builder("postgres://app:secret@db/app").connect().await?;
/// books.migrate().await?;
/// # Ok(())
/// # }
/// ```
///
/// The tables:
///
/// ```sql
#[doc = include_str!("sql/postgres.sql")]
/// ```
pub struct PostgresBooks {
    session: Arc<Session>,
    short_way: ShortWay,
    rush: Arc<Rush>,
    tables: Tables,
    cursor: Cursor,
}

/// Held while tables are made: making one twice at once fails, even if it says `IF NOT EXISTS`. A
/// number that nothing else is likely to lock.
const MIGRATION: i64 = 0x746f_7765_7271_7461;

/// Whether there is a table or an index of this name where it would be made.
const IS_THERE: &str =
    "SELECT to_regclass(quote_ident(current_schema()) || '.' || quote_ident($1)) IS NOT NULL";

impl PostgresBooks {
    /// Books in the database at `url`: `postgres://user:password@host/database`, with the parameters
    /// that `libpq` knows.
    pub fn builder(url: impl Into<String>) -> PostgresBooksBuilder {
        PostgresBooksBuilder::new(Source::Url(url.into()))
    }

    /// Books that use connections of `pool`.
    ///
    /// Transactions have settings of their own, but a call that takes one statement goes by the
    /// connection's: `default_transaction_isolation` has to be `read committed`, or calls that meet
    /// fail; and `statement_timeout` and `lock_timeout` are to be shorter than the
    /// [timeout](PostgresBooksBuilder::timeout), or the server goes on with what nobody waits for.
    /// `test_before_acquire(false)` saves a question before each call. `enable_seqscan`,
    /// `enable_hashjoin` and `enable_mergejoin` do best switched off, as they are on connections
    /// that the books open: rows are found by their keys, and a plan that the server made while
    /// tables were small, or never analysed, reads all of them. `plan_cache_mode` is
    /// `force_generic_plan` there: statements are always the same.
    pub fn from_pool(pool: PgPool) -> PostgresBooksBuilder {
        PostgresBooksBuilder::new(Source::Pool(pool))
    }

    /// Makes the tables that are not there yet. Many processes may do so at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.make_tables().await.map_err(|error| failure(error).of("migrate"))
    }

    async fn make_tables(&self) -> sqlx::Result<()> {
        let begin = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
        let mut lent = self.session.acquire().await?;
        lent.begin(begin.into_sql_str()).await?;
        let connection = lent.busy();
        query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION).execute(&mut *connection).await?;
        if let Some(schema) = self.tables.schema() {
            let into = AssertSqlSafe(format!("SET LOCAL search_path TO \"{schema}\""));
            connection.execute(sqlx::raw_sql(into)).await?;
        }
        for definition in self.tables.definitions(include_str!("sql/postgres.sql")) {
            // Even with `IF NOT EXISTS`, an index that is there would be waited for by all that write.
            let is_there = query_scalar::<_, bool>(IS_THERE).bind(definition.name);
            if !is_there.fetch_one(&mut *connection).await? {
                connection.execute(sqlx::raw_sql(definition.statement)).await?;
            }
        }
        lent.commit().await
    }

    /// Does a verb in a transaction of its own.
    async fn execute<V: Verb + 'static>(&self, verb: V) -> Result<V::Answer, StoreError> {
        let (ask, answer) = Ask::new(verb);
        let mut jobs = vec![Box::new(ask)];
        let written = self.session.write(&mut jobs).await.map_err(failure);
        answer_all(jobs, written);
        answered::<V>(answer).await
    }

    /// Holds units the short way; or, if that leads nowhere or many take it, in the rush of a counter.
    async fn hold(&self, request: &RemoteReserve) -> Result<RemoteVerdict, StoreError> {
        let keys: Vec<Key> =
            request.charges.iter().map(|charge| charge.counter.key().into()).collect();
        if Short::of(request, &self.session).is_some()
            && !self.rush.is_at(&keys)
            && let Some(verdict) = self.short_way.reserve(&self.session, request).await?
        {
            return Ok(verdict);
        }
        let Some(seat) = self.rush.enter(keys) else {
            return self.execute(request.clone()).await;
        };
        let (ask, answer) = Ask::new(request.clone());
        if let Some(worker) = seat.line.push(Box::new(ask)) {
            tokio::spawn(self.session.clone().rush(worker, seat.beside()));
        }
        answered::<RemoteReserve>(answer).await
    }

    async fn find(&self, charges: &[RemoteCharge]) -> sqlx::Result<Found> {
        let keys: Vec<_> = charges.iter().map(|charge| charge.counter.key()).collect();
        let now = self.session.clock.as_ref().map(|clock| clock.now().as_millis());
        let select = query(self.session.statements.read.clone()).bind(now).bind(keys);
        let rows = self.session.in_time(async {
            let mut lent = self.session.acquire().await?;
            let rows = select.fetch_all(lent.busy()).await;
            lent.hear(rows)
        });
        Found::new(&rows.await?)
    }

    async fn find_last(&self, keys: &[Vec<u8>]) -> sqlx::Result<HashMap<Key, Span>> {
        let select = query(self.session.statements.last.clone()).bind(keys);
        let rows = self.session.in_time(async {
            let mut lent = self.session.acquire().await?;
            let rows = select.fetch_all(lent.busy()).await;
            lent.hear(rows)
        });
        rows.await?.iter().map(window).collect()
    }
}

impl fmt::Debug for PostgresBooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBooks")
            .field("tables", &self.tables)
            .field("lease", &self.session.lease)
            .finish_non_exhaustive()
    }
}

impl RemoteBooks for PostgresBooks {
    fn lease(&self) -> Lease {
        self.session.lease
    }

    async fn reserve(&self, request: &RemoteReserve) -> Result<RemoteVerdict, StoreError> {
        let over = |_| Err(StoreError::transient(RemoteReserve::NAME, OVER));
        timeout(self.session.timeout, self.hold(request)).await.unwrap_or_else(over)
    }

    async fn settle(&self, batch: &[RemoteSettlement]) -> Result<Vec<HoldId>, StoreError> {
        match self.session.settle_short(batch).await {
            Ok(true) => Ok(Vec::new()),
            Ok(false) => self.execute(batch.to_vec()).await,
            Err(error) => Err(failure(error).of(<Vec<RemoteSettlement>>::NAME)),
        }
    }

    async fn renew(&self, batch: &[Renewal]) -> Result<(), StoreError> {
        self.execute(batch.to_vec()).await
    }

    async fn read(&self, charges: &[RemoteCharge], units: u64) -> Result<Vec<Count>, StoreError> {
        let found = self.find(charges).await.map_err(|error| failure(error).of("count"))?;
        found.counts(charges, units, self.session.lease)
    }

    async fn change(&self, change: &RemoteChange) -> Result<(), StoreError> {
        self.execute(change.clone()).await
    }

    async fn open(&self, opening: &RemoteOpening) -> Result<Span, StoreError> {
        self.execute(opening.clone()).await
    }

    async fn last(&self, counters: &[RemoteCounter]) -> Result<Vec<Option<Span>>, StoreError> {
        let keys: Vec<_> = counters.iter().map(RemoteCounter::key_of_all_windows).collect();
        let found = self.find_last(&keys).await;
        let found = found.map_err(|error| failure(error).of("read windows"))?;
        Ok(keys.iter().map(|key| found.get(key.as_slice()).copied()).collect())
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        if let Some(clock) = &self.session.clock {
            return Ok(clock.now());
        }
        let now = self.session.in_time(async {
            let mut lent = self.session.acquire().await?;
            let select = query_scalar(self.session.statements.time.clone());
            let now = select.fetch_one(lent.busy()).await;
            lent.hear(now)
        });
        now.await.map(Timestamp::from_millis).map_err(|error| failure(error).of("tell the time"))
    }

    async fn sweep(&self, at_most: u32) -> Result<u32, StoreError> {
        let sweeper = PostgresSweeper { session: &self.session, cursor: &self.cursor };
        let swept = sweep(&sweeper, at_most).await;
        swept.map_err(|error| failure(error).of("sweep"))
    }
}

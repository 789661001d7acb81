//! Transactions in a PostgreSQL database, and what its errors mean.

use std::future::Future;
use std::io;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use tokio::time::timeout;

use super::lent::Lent;
use super::rows::PostgresRows;
use super::statements::Statements;
use crate::clock::Clock;
use crate::store::books::Lease;
use crate::store::sql::draft::Rows;
use crate::store::sql::error::{Cause, Failure};
use crate::store::sql::job::{Job, apply_all};

/// What it takes to write.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) pool: PgPool,
    pub(super) statements: Statements,
    pub(super) lease: Lease,
    pub(super) clock: Option<Box<dyn Clock>>,
    pub(super) begins: Begins,
    /// How long a caller waits.
    pub(super) timeout: Duration,
}

/// What is said to a caller who has waited that long.
pub(super) const OVER: &str = "no answer before the timeout";

impl Session {
    /// A connection, which the pool has to have in time.
    pub(super) async fn lend(&self) -> sqlx::Result<Lent> {
        self.in_time(self.acquire()).await
    }

    /// A connection, however long the pool takes.
    pub(super) async fn acquire(&self) -> sqlx::Result<Lent> {
        // Boxed: to open one takes a future of several kilobytes.
        Box::pin(self.pool.acquire()).await.map(Lent::new)
    }

    /// What `work` gives, if it does so while its caller waits. The server's time-outs are no help
    /// where the server is not reached, or where a pool of somebody else's has none.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let over = |_| Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, OVER)));
        timeout(self.timeout, work).await.unwrap_or_else(over)
    }

    /// Does jobs in one transaction.
    pub(super) async fn write<J: Job + ?Sized>(&self, jobs: &mut [Box<J>]) -> sqlx::Result<()> {
        self.in_time(async {
            let mut lent = self.acquire().await?;
            self.write_with(&mut lent, &self.begins.alone, jobs).await
        })
        .await
    }

    /// Does jobs in one transaction, begun as `begin` says.
    pub(super) async fn write_with<J: Job + ?Sized>(
        &self,
        lent: &mut Lent,
        begin: &SqlStr,
        jobs: &mut [Box<J>],
    ) -> sqlx::Result<()> {
        lent.begin(begin.clone()).await?;
        let rows = &mut self.rows(lent, begin);
        match write_all(rows, jobs, self.lease).await {
            Ok(Written::Something) => lent.commit().await,
            // Counters that were made for nothing are not left behind.
            Ok(Written::Nothing) => lent.roll_back().await,
            Err(error) => lent.end(Err(error)).await,
        }
    }

    pub(super) fn rows<'a>(&'a self, lent: &'a mut Lent, begin: &'a SqlStr) -> PostgresRows<'a> {
        PostgresRows {
            connection: lent.busy(),
            statements: &self.statements,
            begin,
            clock: self.clock.as_deref(),
            locked_at: None,
            made: Vec::new(),
        }
    }
}

/// Whether a transaction has changed anything.
enum Written {
    Something,
    Nothing,
}

async fn write_all<J: Job + ?Sized>(
    rows: &mut PostgresRows<'_>,
    jobs: &mut [Box<J>],
    lease: Lease,
) -> sqlx::Result<Written> {
    let draft = apply_all(rows, jobs, lease).await?;
    if draft.is_clean() {
        return Ok(Written::Nothing);
    }
    rows.write(&draft).await?;
    Ok(Written::Something)
}

/// How transactions begin: of one job, of several, and of one that has waited with others in vain.
/// Those have to leave time for what comes after them.
#[derive(Debug)]
pub(super) struct Begins {
    pub(super) alone: SqlStr,
    pub(super) together: SqlStr,
    pub(super) again: SqlStr,
}

impl Begins {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            alone: begin(timeout, server_timeout(timeout)),
            together: begin(timeout, millis(timeout.checked_div(2).unwrap_or(timeout))),
            again: begin(timeout, millis(timeout.checked_div(16).unwrap_or(timeout))),
        }
    }
}

/// Begins a transaction that the server gives up before `timeout` is over: so whoever asked does not
/// give up earlier. It also ends if its process stands still in the middle of it, for it has locks.
fn begin(timeout: Duration, lock_timeout: u128) -> SqlStr {
    let millis = server_timeout(timeout);
    AssertSqlSafe(format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {millis}; \
         SET LOCAL lock_timeout = {lock_timeout}; \
         SET LOCAL idle_in_transaction_session_timeout = {millis}"
    ))
    .into_sql_str()
}

/// What a statement may take, in milliseconds: three quarters of what its caller waits.
pub(super) fn server_timeout(timeout: Duration) -> u128 {
    millis(timeout.saturating_mul(3).checked_div(4).unwrap_or(timeout))
}

/// As the server's settings take it, where 0 would be for ever.
fn millis(duration: Duration) -> u128 {
    duration.as_millis().clamp(1, 1_000_000_000)
}

/// Whether the server gave up waiting for a lock, or for a statement to end.
pub(super) fn was_too_slow(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    // lock_not_available, query_canceled
    code.is_some_and(|code| matches!(&*code, "55P03" | "57014"))
}

/// An error of PostgreSQL, and whether it passes.
pub(super) fn failure(error: sqlx::Error) -> Failure {
    Failure::new(error, cause)
}

/// By the class of the error's code (PostgreSQL's manual, appendix A).
fn cause(error: &dyn DatabaseError) -> Cause {
    let code = error.code().unwrap_or_default();
    match &*code {
        // undefined_table
        "42P01" => Cause::NoTables,
        // disk_full, and configuration_limit_exceeded
        "53100" | "53400" => Cause::Lasting,
        // lock_not_available, query_canceled, idle_in_transaction_session_timeout
        "55P03" | "57014" | "25P03" => Cause::Passing,
        // The connection; a deadlock or a serialization failure; too many connections or too little
        // memory; a server that starts or stops.
        code if ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class)) => {
            Cause::Passing
        }
        _ => Cause::Lasting,
    }
}

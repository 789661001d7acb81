//! Transactions in a PostgreSQL database, and what its errors mean.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, Postgres, Row, SqlSafeStr, SqlStr, Transaction, query};

use super::lent::Lent;
use super::rows::PostgresRows;
use super::statements::Statements;
use crate::clock::{Clock, Timestamp};
use crate::store::books::Lease;
use crate::store::sql::draft::Rows;
use crate::store::sql::error::{Cause, Failure};
use crate::store::sql::job::{Job, apply_all};
use crate::store::sql::sweep::{Cursor, sweep};

/// What it takes to write.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) pool: PgPool,
    pub(super) statements: Statements,
    pub(super) lease: Lease,
    pub(super) clock: Option<Box<dyn Clock>>,
    /// How long callers wait.
    pub(super) timeout: Duration,
    /// Begins a transaction.
    pub(super) begin: SqlStr,
}

impl Session {
    /// Does jobs in one transaction.
    pub(super) async fn write<J: Job + ?Sized>(&self, jobs: &mut [Box<J>]) -> sqlx::Result<()> {
        let mut lent = Lent::from(&self.pool).await?;
        let written = self.write_on(&mut lent, jobs).await;
        lent.give_back();
        written
    }

    async fn write_on<J: Job + ?Sized>(
        &self,
        lent: &mut Lent,
        jobs: &mut [Box<J>],
    ) -> sqlx::Result<()> {
        let mut transaction = lent.connection()?.begin_with(self.begin.clone()).await?;
        let rows = &mut self.rows(&mut transaction);
        let draft = apply_all(rows, jobs, self.lease).await?;
        if draft.is_clean() {
            // Counters that were made for nothing are not left behind.
            return transaction.rollback().await;
        }
        rows.write(&draft).await?;
        transaction.commit().await
    }

    pub(super) async fn sweep(&self, cursor: &Cursor, at_most: u32) -> sqlx::Result<u32> {
        let mut lent = Lent::from(&self.pool).await?;
        let swept = self.sweep_on(&mut lent, cursor, at_most).await;
        lent.give_back();
        swept
    }

    async fn sweep_on(&self, lent: &mut Lent, cursor: &Cursor, at_most: u32) -> sqlx::Result<u32> {
        let mut transaction = lent.connection()?.begin_with(self.begin.clone()).await?;
        let rows = &mut self.rows(&mut transaction);
        let deleted = sweep(rows, cursor, self.lease, at_most).await?;
        transaction.commit().await?;
        Ok(deleted)
    }

    /// The server's clock.
    pub(super) async fn now(&self) -> sqlx::Result<Timestamp> {
        let rows = self.fetch(query(self.statements.time.clone())).await?;
        let now = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
        Ok(Timestamp::from_millis(now))
    }

    /// Asks one question.
    pub(super) async fn fetch(
        &self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> sqlx::Result<Vec<PgRow>> {
        let mut lent = Lent::from(&self.pool).await?;
        let rows = query.fetch_all(&mut **lent.connection()?).await;
        lent.give_back();
        rows
    }

    fn rows<'a>(&'a self, transaction: &'a mut Transaction<'_, Postgres>) -> PostgresRows<'a> {
        PostgresRows {
            connection: transaction,
            statements: &self.statements,
            begin: &self.begin,
            clock: self.clock.as_deref(),
            locked_at: None,
        }
    }
}

/// Begins a transaction that the server gives up before `timeout` is over: so whoever asked does not
/// give up earlier. It also ends if its process stands still in the middle of it, for it has locks.
pub(super) fn begin(timeout: Duration) -> SqlStr {
    let millis = server_timeout(timeout);
    AssertSqlSafe(format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {millis}; \
         SET LOCAL lock_timeout = {millis}; \
         SET LOCAL idle_in_transaction_session_timeout = {millis}"
    ))
    .into_sql_str()
}

/// What a statement may take, in milliseconds: three quarters of what its caller waits.
pub(super) fn server_timeout(timeout: Duration) -> u128 {
    timeout.saturating_mul(3).checked_div(4).unwrap_or(timeout).as_millis().clamp(1, 1_000_000_000)
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

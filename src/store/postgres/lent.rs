//! A connection of a pool, for as long as it is used.

use std::fmt;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Postgres, SqlStr};

use super::lost::was_ended;

/// A connection that the pool has lent. If it is left in the middle of something, because whoever
/// used it was dropped or had no more time, it is closed: the server might still be in a transaction,
/// and so would whoever got it next.
pub(super) struct Lent {
    connection: PoolConnection<Postgres>,
    /// Whether the server has answered all that it was asked, and is in no transaction.
    is_at_rest: bool,
}

impl Lent {
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        Self { connection, is_at_rest: true }
    }

    /// The connection, which is in the middle of something from now on.
    pub(super) fn busy(&mut self) -> &mut PgConnection {
        self.is_at_rest = false;
        &mut self.connection
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self, begin: SqlStr) -> sqlx::Result<()> {
        self.busy().execute(sqlx::raw_sql(begin)).await.map(drop)
    }

    pub(super) async fn commit(&mut self) -> sqlx::Result<()> {
        self.busy().execute("COMMIT").await?;
        self.is_at_rest = true;
        Ok(())
    }

    pub(super) async fn roll_back(&mut self) -> sqlx::Result<()> {
        self.busy().execute("ROLLBACK").await?;
        self.is_at_rest = true;
        Ok(())
    }

    /// Commits what was done; rolls back what failed.
    pub(super) async fn end<T>(&mut self, done: sqlx::Result<T>) -> sqlx::Result<T> {
        match done {
            Ok(_) => self.commit().await?,
            // If that fails too, the connection is closed.
            Err(_) => drop(self.roll_back().await),
        }
        done
    }

    /// What the server said to a statement that was a transaction of its own.
    pub(super) fn hear<T>(&mut self, answer: sqlx::Result<T>) -> sqlx::Result<T> {
        self.is_at_rest = match &answer {
            Ok(_) => true,
            Err(sqlx::Error::Database(error)) => !was_ended(&**error),
            Err(_) => false,
        };
        answer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.is_at_rest {
            self.connection.close_on_drop();
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("is_at_rest", &self.is_at_rest).finish_non_exhaustive()
    }
}

//! A connection of the pool, while it is in use.

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;

/// A connection that goes back to the pool when its work has come to an end.
///
/// If the work is given up before, the connection is closed, for it may be stuck: the pool would
/// wait for its answer, and until then open no other in its place.
#[derive(Debug)]
pub(super) struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    pub(super) async fn from(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    pub(super) fn connection(&mut self) -> sqlx::Result<&mut PoolConnection<Postgres>> {
        self.0.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Gives it back. Nobody waits for an answer on it any more.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

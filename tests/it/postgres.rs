//! The contract, kept by books in a PostgreSQL database; and what only those have.

mod contract;
mod faults;
mod given_up;
mod innocent;
mod network;
mod overtaken;
mod plans;
mod short_way;
mod sweep;
mod tables;

use sqlx::{Connection, PgConnection};
use tower_quota::ManualClock;
use tower_quota::store::{Lease, PostgresBooks};

use crate::support::counters::SECOND;
use crate::support::many_lapsed::{check_many_lapsed, check_many_lapsed_steps};
use crate::support::noon;
use crate::support::servers::Postgres;

const LEASE: Lease = Lease { length: SECOND.saturating_mul(10), keep: SECOND.saturating_mul(30) };

/// A database and books in it.
struct Fixture {
    url: String,
    clock: ManualClock,
    books: PostgresBooks,
}

impl Fixture {
    async fn new() -> Self {
        Self::on(Postgres::shared().database()).await
    }

    /// Books in the database at `url`.
    async fn on(url: String) -> Self {
        let clock = noon();
        let books = PostgresBooks::builder(&url).lease(LEASE).clock(clock.clone());
        // A machine that has much else to do is in nobody's way.
        let books = books.timeout(60 * SECOND).connect().await.unwrap();
        books.migrate().await.unwrap();
        Self { url, clock, books }
    }
}

/// How many entries of the indexes of holds were read. A server's process tells that when it ends: all
/// books have to be dropped.
async fn entries_read(observer: &mut PgConnection) -> i64 {
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut *observer).await.unwrap() > 0 {}
    let read = "SELECT CAST(sum(idx_tup_read) AS bigint) FROM pg_stat_user_indexes
        WHERE relname = 'quota_hold'";
    sqlx::query_scalar(read).fetch_one(observer).await.unwrap()
}

#[tokio::test]
async fn nobody_is_denied_while_an_expired_hold_remains() {
    let fixture = Fixture::new().await;
    check_many_lapsed(&fixture.books, &fixture.clock).await;
}

#[tokio::test]
async fn what_has_lapsed_in_a_rolling_window_is_marked_a_few_at_a_time() {
    let fixture = Fixture::new().await;
    let marked = async || {
        let mut other = PgConnection::connect(&fixture.url).await.unwrap();
        let counted = "SELECT count(*) FROM quota_hold WHERE lapsed";
        sqlx::query_scalar(counted).fetch_one(&mut other).await.unwrap()
    };
    check_many_lapsed_steps(&fixture.books, &fixture.clock, marked).await;
}

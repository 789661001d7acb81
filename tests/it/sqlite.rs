//! What only books in an SQLite file have. The contract is tested for all books alike.

mod faults;
mod file;
mod opened_at_once;
mod sweep;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tower_quota::ManualClock;
use tower_quota::store::{Lease, SqliteBooks};

use crate::remote_books::{Directory, SECOND, check_episodes, check_many_lapsed};
use crate::support::noon;

const LEASE: Lease = Lease { length: SECOND.saturating_mul(10), keep: SECOND.saturating_mul(30) };

/// New books in a file, and their clock.
async fn books(directory: &Directory) -> (SqliteBooks, ManualClock) {
    let clock = noon();
    let books = open(directory, &clock).await;
    books.migrate().await.unwrap();
    (books, clock)
}

async fn open(directory: &Directory, clock: &ManualClock) -> SqliteBooks {
    let builder = SqliteBooks::builder(directory.path().join("quota.db"));
    builder.lease(LEASE).clock(clock.clone()).connect().await.unwrap()
}

#[tokio::test]
async fn do_as_the_model_does() {
    let directory = Directory::new();
    // Nothing is lost here by a loss of power.
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("quota.db"))
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Off);
    let pool: SqlitePool =
        SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let clock = noon();
    let books = SqliteBooks::from_pool(pool).lease(LEASE).clock(clock.clone());
    let books = books.connect().await.unwrap();
    books.migrate().await.unwrap();
    check_episodes(&books, &clock, 0..300).await;
}

#[tokio::test]
async fn nobody_is_denied_while_an_expired_hold_remains() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    check_many_lapsed(&books, &clock).await;
}

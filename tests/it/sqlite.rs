//! The contract, kept by books in an SQLite file; and what only those have.

mod contract;
mod faults;
mod file;
mod opened_at_once;
mod sweep;
mod together;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tower_quota::ManualClock;
use tower_quota::store::{Lease, SqliteBooks};

use crate::support::counters::SECOND;
use crate::support::many_lapsed::{check_many_lapsed, check_many_lapsed_steps};
use crate::support::{Directory, noon};

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
async fn nobody_is_denied_while_an_expired_hold_remains() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    check_many_lapsed(&books, &clock).await;
}

#[tokio::test]
async fn what_has_lapsed_in_a_rolling_window_is_marked_a_few_at_a_time() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    let marked = async || {
        let path = directory.path().join("quota.db");
        let mut file = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        let counted = "SELECT count(*) FROM quota_hold WHERE lapsed";
        sqlx::query_scalar(counted).fetch_one(&mut file).await.unwrap()
    };
    check_many_lapsed_steps(&books, &clock, marked).await;
}

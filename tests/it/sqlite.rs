//! The contract, kept by books in an SQLite file; and what only those have.

mod contract;
mod faults;
mod file;
mod opened_at_once;
mod sweep;
mod together;

use tower_quota::ManualClock;
use tower_quota::store::{Lease, SqliteBooks};

use crate::support::counters::SECOND;
use crate::support::many_lapsed::check_many_lapsed;
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

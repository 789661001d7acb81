//! Files that are locked, read-only, full, or no books at all.

mod engines;

use std::fs;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{ConnectOptions, Connection, Executor};
use tower_quota::store::{Held, Lapse, RemoteBooks, RemoteReserve, SqliteBooks};
use tower_quota::{Clock, Window};

use super::books;
use crate::support::counters::{Counted, ask, counter};
use crate::support::engine::reason;
use crate::support::{Directory, noon};

fn options(directory: &Directory) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(directory.path().join("quota.db"))
}

#[tokio::test]
async fn a_file_that_another_keeps_locked_is_a_failure_that_passes() {
    let directory = Directory::new();
    // Kept open: closing the last connection locks the file for a moment.
    let (_open, clock) = books(&directory).await;
    let builder = SqliteBooks::builder(directory.path().join("quota.db")).clock(clock.clone());
    let books = builder.timeout(Duration::from_millis(1)).connect().await.unwrap();
    let remix = [counter("7", Window::Day, clock.now())];
    let mut other = options(&directory).connect().await.unwrap();
    let acknowledged = books.reserve(&ask(1, &remix, None, 1, clock.now())).await.unwrap();
    assert!(matches!(acknowledged.held, Held::Granted(_)));

    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = books.reserve(&ask(2, &remix, None, 1, clock.now())).await.unwrap_err();
    assert_eq!(error.operation(), "reserve");
    assert!(error.is_transient(), "{error:?}");
    assert!(reason(&error).contains("locked"), "{error:?}");
    // Readers do not wait.
    assert_eq!(books.counted(&remix).await.unwrap()[0].held, 1);

    other.execute("ROLLBACK").await.unwrap();
    books.reserve(&ask(3, &remix, None, 1, clock.now())).await.unwrap();
    assert_eq!(books.counted(&remix).await.unwrap()[0].held, 2);
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_may_only_be_read_is_a_failure_that_lasts() {
    let directory = Directory::new();
    let (writable, clock) = books(&directory).await;
    let remix = [counter("7", Window::Day, clock.now())];
    writable.reserve(&ask(1, &remix, None, 1, clock.now())).await.unwrap();
    let pool = SqlitePool::connect_with(options(&directory).read_only(true)).await.unwrap();
    let books = SqliteBooks::from_pool(pool).clock(clock.clone()).connect().await.unwrap();
    let error = books.reserve(&ask(2, &remix, None, 1, clock.now())).await.unwrap_err();
    assert!(!error.is_transient());
    assert!(reason(&error).contains("readonly"), "{error:?}");
    assert_eq!(books.counted(&remix).await.unwrap()[0].held, 1);
}

#[tokio::test]
async fn a_full_disk_fails_what_does_not_fit_and_loses_nothing() {
    let directory = Directory::new();
    let (roomy, clock) = books(&directory).await;
    let mut other = options(&directory).connect().await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut other).await.unwrap();
    let full = options(&directory).pragma("max_page_count", (pages + 2).to_string());
    let pool = SqlitePool::connect_with(full).await.unwrap();
    let books = SqliteBooks::from_pool(pool).clock(clock.clone()).connect().await.unwrap();
    let remix = [counter("7", Window::Day, clock.now())];
    let (mut granted, mut failure) = (0, None);
    for sequence in 0..10_000 {
        match books.reserve(&ask(sequence, &remix, None, 1, clock.now())).await {
            Ok(_) => granted += 1,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let failure = failure.unwrap();
    assert!(!failure.is_transient());
    assert!(reason(&failure).contains("full"), "{failure:?}");
    assert_eq!(roomy.counted(&remix).await.unwrap()[0].held, granted);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = Directory::new();
    let path = directory.path().join("quota.db");
    fs::write(&path, "This was never a database, and it is longer than a header. ".repeat(40))
        .unwrap();
    let error = SqliteBooks::builder(&path).clock(noon()).connect().await.unwrap_err();
    assert_eq!(error.operation(), "connect");
    assert!(!error.is_transient());
    assert!(reason(&error).contains("not a database"), "{error:?}");
}

#[tokio::test]
async fn a_file_with_damaged_pages_is_a_failure_that_lasts() {
    let directory = Directory::new();
    let (healthy, clock) = books(&directory).await;
    let remix = [counter("7", Window::Day, clock.now())];
    healthy.reserve(&ask(1, &remix, None, 1, clock.now())).await.unwrap();
    drop(healthy);
    // Everything after the first page, which says what tables there are.
    let mut other = options(&directory).connect().await.unwrap();
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    other.close().await.unwrap();
    let path = directory.path().join("quota.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xff);
    fs::write(&path, bytes).unwrap();

    let books = SqliteBooks::builder(&path).clock(clock.clone()).connect().await.unwrap();
    let error = books.reserve(&ask(2, &remix, None, 1, clock.now())).await.unwrap_err();
    assert!(!error.is_transient());
    assert!(reason(&error).contains("malformed"), "{error:?}");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_a_failure_that_lasts() {
    let directory = Directory::new();
    let path = directory.path().join("no").join("quota.db");
    let error = SqliteBooks::builder(path).connect().await.unwrap_err();
    assert_eq!(error.operation(), "connect");
    assert!(!error.is_transient());
    assert!(reason(&error).contains("unable to open"), "{error:?}");
}

/// A table that somebody has made without types, with a word where there should be a number.
#[tokio::test]
async fn what_is_due_and_cannot_be_read_is_a_failure_and_not_nothing() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    let remix = [counter("7", Window::Rolling(Duration::from_secs(60)), clock.now())];
    let request = ask(1, &remix, None, 1, clock.now());
    books.reserve(&RemoteReserve { lapse: Lapse::Charge, ..request }).await.unwrap();
    clock.advance(books.lease().length);
    assert_eq!(books.counted(&remix).await.unwrap()[0].used, 1);

    let mut other = options(&directory).connect().await.unwrap();
    other.execute("CREATE TABLE untyped AS SELECT * FROM quota_hold").await.unwrap();
    other.execute("DROP TABLE quota_hold").await.unwrap();
    other.execute("ALTER TABLE untyped RENAME TO quota_hold").await.unwrap();
    other.execute("UPDATE quota_hold SET units = 'one'").await.unwrap();
    let error = books.counted(&remix).await.unwrap_err();
    assert_eq!(error.operation(), "count");
    assert!(!error.is_transient(), "{error:?}");
    assert!(reason(&error).contains("invalid digit"), "{error:?}");
}

//! What engines make of a file that fails for a while: nothing that was acknowledged is lost.

use std::fs;
use std::time::Duration;

use futures::future::join_all;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{ConnectOptions, Connection, Executor};
use tower_quota::store::SqliteBooks;
use tower_quota::{Decision, SystemClock};

use super::options;
use crate::support::Directory;
use crate::support::engine::{CHAT, Engine, REMIX, reason};

/// Longer than a locked file is waited for, so that the error says that it is locked.
const TIMEOUT: Duration = Duration::from_secs(2);

/// An engine that grants 5 units, as each process that shares the file has one.
async fn engine(directory: &Directory) -> Engine {
    let books = SqliteBooks::builder(directory.path().join("quota.db"));
    // A locked file is not waited for: the test says when it is unlocked.
    let books = books.timeout(Duration::from_millis(20)).connect().await.unwrap();
    books.migrate().await.unwrap();
    Engine::new(books, TIMEOUT, 5, SystemClock)
}

/// Another program's connection to the file.
async fn other(directory: &Directory) -> SqliteConnection {
    options(directory).connect().await.unwrap()
}

async fn a_locked_file_takes_nothing_of(feature: &str) {
    let directory = Directory::new();
    let engine = engine(&directory).await;
    let mut other = other(&directory).await;
    engine.spend(feature).await;
    let (open, released) = (engine.grant(feature).await, engine.grant(feature).await);
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = engine.failure(feature).await;
    assert_eq!(error.operation(), "reserve");
    assert!(error.is_transient(), "{error:?}");
    assert!(reason(&error).contains("database is locked"), "{error:?}");
    open.commit();
    released.release();
    assert_eq!(engine.count(feature).await, (1, 2), "{feature}: used and held");
    other.execute("ROLLBACK").await.unwrap();
    engine.flush().await;
    assert_eq!(engine.count(feature).await, (2, 0), "{feature}: used and held");
    assert_eq!(engine.spend_the_rest(feature).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_takes_nothing_and_loses_nothing() {
    tokio::join!(a_locked_file_takes_nothing_of(REMIX), a_locked_file_takes_nothing_of(CHAT));
}

/// One that is locked again and again, under the load of two processes.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_often_locked_grants_exactly_the_amount() {
    let directory = Directory::new();
    let engines = [engine(&directory).await, engine(&directory).await];
    let mut other = other(&directory).await;
    let spending = engines.iter().cycle().take(8).map(|engine| async move {
        let mut granted = 0;
        loop {
            match engine.decide(CHAT).await {
                Ok(Decision::Granted(reservation)) => {
                    reservation.commit();
                    granted += 1;
                }
                Ok(Decision::Denied(_)) => return granted,
                Err(error) => {
                    assert!(error.is_transient(), "{error:?}");
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let locking = async {
        loop {
            // It may be the one that finds it locked.
            if other.execute("BEGIN IMMEDIATE").await.is_ok() {
                tokio::task::yield_now().await;
                other.execute("ROLLBACK").await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let granted: Vec<u64> = tokio::select! {
        granted = join_all(spending) => granted,
        () = locking => unreachable!(),
    };
    // It may have locked the file just then.
    other.close().await.unwrap();
    for engine in &engines {
        engine.flush().await;
    }
    // What was held by those that failed has been given back.
    let rest = engines[0].spend_the_rest(CHAT).await;
    assert_eq!(granted.iter().sum::<u64>() + rest, 5);
    assert_eq!(engines[1].count(CHAT).await, (5, 0), "used and held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_only_be_read_still_tells_what_was_acknowledged() {
    let directory = Directory::new();
    let writable = engine(&directory).await;
    writable.spend(REMIX).await;
    let open = writable.grant(REMIX).await;
    let pool = SqlitePool::connect_with(options(&directory).read_only(true)).await.unwrap();
    let books = SqliteBooks::from_pool(pool).connect().await.unwrap();
    let readonly = Engine::new(books, TIMEOUT, 5, SystemClock);
    for _ in 0..6 {
        // It lasts: looking for the books again and again would not help.
        let error = readonly.failure(REMIX).await;
        assert_eq!(error.operation(), "reserve");
        assert!(!error.is_transient(), "{error:?}");
        assert!(reason(&error).contains("readonly database"), "{error:?}");
    }
    assert_eq!(readonly.count(REMIX).await, (1, 1), "used and held");
    open.commit();
    writable.flush().await;
    assert_eq!(readonly.count(REMIX).await, (2, 0), "used and held");
}

/// A copy of the file from before the damage has all that was acknowledged by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_says_so_and_a_backup_has_what_was_acknowledged() {
    let directory = Directory::new();
    let before = engine(&directory).await;
    before.spend(REMIX).await;
    let open = before.grant(REMIX).await;
    let mut other = other(&directory).await;
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    let path = directory.path().join("quota.db");
    let healthy = fs::read(&path).unwrap();
    let mut damaged = healthy.clone();
    // Everything after the first page, which says what tables there are.
    damaged[4096..].fill(0xff);
    let elsewhere = Directory::new();
    fs::write(elsewhere.path().join("quota.db"), damaged).unwrap();

    let books = SqliteBooks::builder(elsewhere.path().join("quota.db")).connect().await.unwrap();
    let broken = Engine::new(books, TIMEOUT, 5, SystemClock);
    for feature in [REMIX, CHAT] {
        let error = broken.failure(feature).await;
        assert_eq!(error.operation(), "reserve");
        assert!(!error.is_transient(), "{error:?}");
        assert!(reason(&error).contains("malformed"), "{error:?}");
    }
    let restored = Directory::new();
    fs::write(restored.path().join("quota.db"), healthy).unwrap();
    let restored = engine(&restored).await;
    assert_eq!(restored.count(REMIX).await, (1, 1), "used and held");
    assert_eq!(restored.spend_the_rest(REMIX).await, 3);
    drop(open);
    other.close().await.unwrap();
}

/// What was answered is in the file: a process that is gone without a word leaves all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_without_a_word_loses_nothing_that_was_acknowledged() {
    let directory = Directory::new();
    let survivor = engine(&directory).await;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let path = directory.path().to_owned();
    let held = runtime.spawn(async move {
        let books = SqliteBooks::builder(path.join("quota.db")).connect().await.unwrap();
        let engine = Engine::new(books, TIMEOUT, 5, SystemClock);
        engine.spend(CHAT).await;
        engine.grant(CHAT).await
    });
    let held = held.await.unwrap();
    runtime.shutdown_background();
    assert_eq!(survivor.count(CHAT).await, (1, 1), "used and held");
    assert_eq!(survivor.spend_the_rest(CHAT).await, 3);
    assert_eq!(survivor.count(CHAT).await, (4, 1), "used and held");
    drop(held);
}

//! Sweeping a file.

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tower_quota::store::{Change, RemoteBooks, RemoteChange, Renewal};
use tower_quota::{Clock, Window};

use super::{LEASE, books};
use crate::support::Directory;
use crate::support::counters::{Counted, SECOND, ask, counter};
use crate::support::swept::{
    check_a_full_counter_is_swept, check_last_windows_are_swept, check_nothing_starves, check_sweep,
};

/// The rows of each table: counters, holds, lines of changes.
async fn rows(directory: &Directory) -> (i64, i64, i64) {
    let path = directory.path().join("quota.db");
    let mut file = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let counted = "SELECT (SELECT count(*) FROM quota_counter), (SELECT count(*) FROM quota_hold),
        (SELECT count(*) FROM quota_merged)";
    sqlx::query_as(counted).fetch_one(&mut file).await.unwrap()
}

#[tokio::test]
async fn open_windows_and_live_holds_are_left_alone() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    let lifetime = [counter("7", Window::Lifetime, clock.now())];
    let short = [counter("7", Window::Fixed(10 * SECOND), clock.now())];
    let credit = RemoteChange {
        nonce: 1,
        sequence: 1,
        counters: lifetime.to_vec(),
        change: Change::Debit(2),
    };
    books.change(&credit).await.unwrap();
    let request = ask(1, &short, None, 1, clock.now());
    books.reserve(&request).await.unwrap();
    let renewal = Renewal { id: request.id, counters: request.charges };
    // A stream that lasts far longer than its window and what is kept of it.
    for _ in 0..20 {
        clock.advance(5 * SECOND);
        books.renew(std::slice::from_ref(&renewal)).await.unwrap();
        assert_eq!(books.sweep(100).await.unwrap(), 0);
    }
    assert_eq!(rows(&directory).await, (2, 1, 1));
    assert_eq!(books.counted(&lifetime).await.unwrap()[0].used, 2);
}

#[tokio::test]
async fn what_nobody_will_miss_is_deleted_a_few_at_a_time() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    check_sweep(&books, &clock, async || rows(&directory).await).await;
}

#[tokio::test]
async fn last_windows_are_swept_when_they_do_not_matter_any_more() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    let rows = async || {
        let path = directory.path().join("quota.db");
        let mut file = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        let counted = "SELECT count(*) FROM quota_last_window";
        sqlx::query_scalar(counted).fetch_one(&mut file).await.unwrap()
    };
    check_last_windows_are_swept(&books, &clock, rows).await;
}

#[tokio::test]
async fn a_swept_window_is_not_begun_again() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    let minute = [counter("7", Window::Minute, clock.now())];
    books.reserve(&ask(1, &minute, Some(1), 1, clock.now())).await.unwrap();
    clock.advance(60 * SECOND + LEASE.keep);
    while books.sweep(100).await.unwrap() > 0 {}
    assert_eq!(rows(&directory).await, (0, 0, 0));
    let error = books.reserve(&ask(2, &minute, Some(1), 1, clock.now())).await.unwrap_err();
    assert!(error.is_transient());
    assert!(books.counted(&minute).await.is_err());
    assert_eq!(rows(&directory).await, (0, 0, 0));
}

#[tokio::test]
async fn nothing_starves() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    check_nothing_starves(&books, &clock).await;
}

#[tokio::test]
async fn a_full_counter_is_swept() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    check_a_full_counter_is_swept(&books, &clock).await;
}

//! Sweeping a file.

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tower_quota::store::{Change, RemoteBooks, RemoteChange, Renewal};
use tower_quota::{Clock, Timestamp, Window};

use super::{LEASE, books};
use crate::remote_books::{
    Directory, SECOND, ask, check_a_full_counter_is_swept, check_nothing_starves, counter,
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
        books.sweep(100).await.unwrap();
    }
    // The line of changes has ended long ago.
    assert_eq!(rows(&directory).await, (2, 1, 0));
    assert_eq!(books.read(&lifetime).await.unwrap()[0].used, 2);
}

#[tokio::test]
async fn what_nobody_will_miss_is_deleted_a_few_at_a_time() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    let start = clock.now();
    for sequence in 0..10 {
        let scope = format!("profile {sequence}");
        let counters = [
            counter(&scope, Window::Fixed(10 * SECOND), start),
            counter(&scope, Window::Lifetime, start),
        ];
        books.reserve(&ask(sequence, &counters, None, 1, start)).await.unwrap();
    }
    assert_eq!(rows(&directory).await, (20, 20, 0));
    let gone = start.saturating_add(LEASE.length + LEASE.keep);
    clock.set(Timestamp::from_millis(gone.as_millis() - 1).into());
    assert_eq!(books.sweep(100).await.unwrap(), 0);
    clock.set(gone.into());

    let mut deleted = Vec::new();
    loop {
        match books.sweep(7).await.unwrap() {
            0 if rows(&directory).await.1 == 0 => break,
            swept => deleted.push(swept),
        }
    }
    assert!(deleted.iter().all(|swept| *swept <= 7), "{deleted:?}");
    // The holds, and the counters of the windows that are over.
    assert_eq!(deleted.iter().sum::<u32>(), 30);
    assert_eq!(rows(&directory).await, (10, 0, 0));
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
    assert!(books.read(&minute).await.is_err());
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

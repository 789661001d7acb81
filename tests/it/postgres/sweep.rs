//! Sweeping a database.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tower_quota::store::{PostgresBooks, RemoteBooks, RemoteSettlement};
use tower_quota::{Clock, Spent, Window};

use super::{Fixture, LEASE, entries_read};
use crate::support::counters::{SECOND, ask, counter};
use crate::support::swept::{
    check_a_full_counter_is_swept, check_last_windows_are_swept, check_nothing_starves,
};

#[tokio::test]
async fn nothing_starves() {
    let fixture = Fixture::new().await;
    check_nothing_starves(&fixture.books, &fixture.clock).await;
}

#[tokio::test]
async fn last_windows_are_swept_when_they_do_not_matter_any_more() {
    let fixture = Fixture::new().await;
    let rows = async || {
        let mut other = PgConnection::connect(&fixture.url).await.unwrap();
        let counted = "SELECT count(*) FROM quota_last_window";
        sqlx::query_scalar(counted).fetch_one(&mut other).await.unwrap()
    };
    check_last_windows_are_swept(&fixture.books, &fixture.clock, rows).await;
}

#[tokio::test]
async fn a_full_counter_is_swept() {
    let fixture = Fixture::new().await;
    check_a_full_counter_is_swept(&fixture.books, &fixture.clock).await;
}

/// A sweep that is cut short has done something all the same.
#[tokio::test]
async fn what_a_sweep_has_done_stays_done() {
    let fixture = Fixture::new().await;
    let books = PostgresBooks::builder(&fixture.url).clock(fixture.clock.clone()).lease(LEASE);
    let books = books.timeout(Duration::from_secs(60)).connect().await.unwrap();
    let now = fixture.clock.now();
    for number in 0..100 {
        let remix = [counter(format!("{number:03}"), Window::Lifetime, now)];
        books.reserve(&ask(number, &remix, None, 1, now)).await.unwrap();
    }
    fixture.clock.advance(LEASE.length);
    let mut other = PgConnection::connect(&fixture.url).await.unwrap();
    // One of the last counters is locked.
    let last = counter("090", Window::Lifetime, now).key();
    other.execute("BEGIN").await.unwrap();
    let lock = "SELECT * FROM quota_counter WHERE key = $1 FOR UPDATE";
    sqlx::query(lock).bind(last).execute(&mut other).await.unwrap();
    let waits = async {
        let mut third = PgConnection::connect(&fixture.url).await.unwrap();
        loop {
            let waiting: i64 =
                sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE NOT granted")
                    .fetch_one(&mut third)
                    .await
                    .unwrap();
            if waiting > 0 {
                break;
            }
        }
        let marked = "SELECT count(*) FROM quota_hold WHERE lapsed";
        sqlx::query_scalar::<_, i64>(marked).fetch_one(&mut third).await.unwrap()
    };
    let marked = tokio::select! {
        swept = books.sweep(1000) => panic!("{swept:?}"),
        marked = waits => marked,
    };
    assert!(marked >= 64, "{marked}");
}

/// Also where the server believes that there are no holds, as it does when it has looked at the table
/// after all were settled.
#[tokio::test]
async fn a_sweep_of_closed_counters_reads_no_holds_of_others() {
    let Fixture { url, clock, books } = Fixture::new().await;
    let mut observer = PgConnection::connect(&url).await.unwrap();
    let mut ends = Vec::new();
    for number in 0..40 {
        let second = [counter(number.to_string(), Window::Second, clock.now())];
        let request = ask(number, &second, None, 1, clock.now());
        books.reserve(&request).await.unwrap();
        let (id, counters) = (request.id, request.charges);
        ends.push(RemoteSettlement { id, counters, spent: Spent::Held, after: None });
    }
    books.settle(&ends).await.unwrap();
    observer.execute("VACUUM ANALYZE quota_hold, quota_counter").await.unwrap();
    clock.advance(SECOND + LEASE.keep);
    let other = [counter("other", Window::Lifetime, clock.now())];
    for number in 0..200 {
        books.reserve(&ask(100 + number, &other, None, 1, clock.now())).await.unwrap();
    }
    assert_eq!(books.sweep(1000).await.unwrap(), 40);
    drop(books);
    let read = entries_read(&mut observer).await;
    assert!(read < 200, "{read} were read");
}

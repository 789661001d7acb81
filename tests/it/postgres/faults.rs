//! Servers and databases that are slow, locked, gone or not as they should be.

mod clocks;
mod killed;
mod refusals;
mod wire;

use std::time::Duration;

use futures::future::join_all;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection};
use tower_quota::store::{Held, PostgresBooks, RemoteBooks, RemoteCounter};
use tower_quota::{Clock, SystemClock, Timestamp, Window};

use super::Fixture;
use crate::support::counters::{Counted, ask, counter};
use crate::support::engine::{Engine, reason};
use crate::support::servers::Postgres;

/// How long an engine waits for an answer: long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Makes the tables in the database at `url`.
async fn prepare(url: &str) {
    let books = PostgresBooks::builder(url).connections(1).connect().await.unwrap();
    books.migrate().await.unwrap();
}

/// An engine on the books at `url`, as each process that shares them has one.
async fn engine(url: &str, amount: u64) -> Engine {
    let books = PostgresBooks::builder(url).timeout(TIMEOUT).connect().await.unwrap();
    Engine::new(books, TIMEOUT, amount, SystemClock)
}

/// Books by the server's clock whose calls may take long, with a counter that is there.
async fn patient(counters: impl Fn(Timestamp) -> Vec<RemoteCounter>) -> (Fixture, PostgresBooks) {
    let fixture = Fixture::new().await;
    let books = PostgresBooks::builder(&fixture.url).timeout(Duration::from_secs(60));
    let books = books.connect().await.unwrap();
    let now = books.time().await.unwrap();
    books.reserve(&ask(1, &counters(now), None, 1, now)).await.unwrap();
    (fixture, books)
}

/// Executes a reservation only after its `not_after`, by locking what it needs until then.
async fn is_stale_when_executed_late(counters: impl Fn(Timestamp) -> Vec<RemoteCounter>) {
    let (fixture, books) = patient(&counters).await;
    let mut other = PgConnection::connect(&fixture.url).await.unwrap();
    let now = books.time().await.unwrap();
    let request = ask(2, &counters(now), None, 1, now);
    other.execute("BEGIN; SELECT * FROM quota_counter FOR UPDATE").await.unwrap();
    let holding = async {
        while books.time().await.unwrap() <= request.not_after {}
        // It has waited all the time.
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE NOT granted")
            .fetch_one(&mut other)
            .await
            .unwrap();
        assert!(waiting > 0);
        other.execute("ROLLBACK").await.unwrap();
    };
    let (verdict, ()) = tokio::join!(books.reserve(&request), holding);
    assert_eq!(verdict.unwrap().held, Held::Stale);
    for count in books.counted(&counters(now)).await.unwrap() {
        assert_eq!(count.held, 1);
    }
}

#[tokio::test]
async fn what_waits_for_a_lock_until_its_sender_gave_up_writes_nothing() {
    is_stale_when_executed_late(|now| vec![counter("7", Window::Lifetime, now)]).await;
}

#[tokio::test]
async fn what_waits_for_several_locks_until_its_sender_gave_up_writes_nothing() {
    is_stale_when_executed_late(|now| {
        vec![counter("7", Window::Lifetime, now), counter("8", Window::Lifetime, now)]
    })
    .await;
}

#[tokio::test]
async fn the_server_gives_up_waiting_for_a_lock() {
    let fixture = Fixture::new().await;
    let remix = [counter("7", Window::Day, fixture.clock.now())];
    let request = |sequence| ask(sequence, &remix, None, 1, fixture.clock.now());
    fixture.books.reserve(&request(1)).await.unwrap();
    let hasty = PostgresBooks::builder(&fixture.url).clock(fixture.clock.clone());
    let hasty = hasty.timeout(Duration::from_millis(20)).connect().await.unwrap();
    let mut other = PgConnection::connect(&fixture.url).await.unwrap();
    other.execute("BEGIN; SELECT * FROM quota_counter FOR UPDATE").await.unwrap();
    let error = hasty.reserve(&request(2)).await.unwrap_err();
    assert_eq!(error.operation(), "reserve");
    assert!(error.is_transient(), "{error:?}");
    assert!(reason(&error).contains("timeout"), "{error:?}");
    // Readers do not wait.
    assert_eq!(fixture.books.counted(&remix).await.unwrap()[0].held, 1);
}

#[tokio::test]
async fn a_lost_connection_is_a_failure_that_passes() {
    let fixture = Fixture::new().await;
    let pool = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
    let pool = pool.connect(&fixture.url).await.unwrap();
    let books = PostgresBooks::from_pool(pool.clone()).clock(fixture.clock.clone());
    let books = books.connect().await.unwrap();
    let remix = [counter("7", Window::Day, fixture.clock.now())];
    let request = |sequence| ask(sequence, &remix, Some(5), 1, fixture.clock.now());
    books.reserve(&request(1)).await.unwrap();
    // Until then the pool looks after the connection, and might be the first to notice its loss.
    while pool.num_idle() == 0 {
        tokio::task::yield_now().await;
    }
    let mut other = PgConnection::connect(&fixture.url).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    other.execute(end).await.unwrap();
    let error = books.reserve(&request(2)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let again = books.reserve(&request(2)).await.unwrap();
    assert!(matches!(again.held, Held::Granted(_)));
    assert_eq!(books.counted(&remix).await.unwrap()[0].held, 2);
}

#[tokio::test]
async fn a_database_that_may_only_be_read_is_a_failure_that_lasts() {
    let server = Postgres::start();
    let fixture = Fixture::on(server.url()).await;
    server.set("default_transaction_read_only", "on");
    let books = PostgresBooks::builder(&fixture.url).clock(fixture.clock.clone());
    let books = books.connect().await.unwrap();
    let now = fixture.clock.now();
    let one = [counter("7", Window::Day, now)];
    let two = [counter("7", Window::Day, now), counter("8", Window::Day, now)];
    for counters in [one.as_slice(), two.as_slice()] {
        let error = books.reserve(&ask(1, counters, None, 1, now)).await.unwrap_err();
        assert!(!error.is_transient());
        assert!(reason(&error).contains("read-only"), "{error:?}");
    }
    assert_eq!(books.counted(&one).await.unwrap()[0].held, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_serialises_by_default_does_not_fail_those_that_meet() {
    let server = Postgres::start();
    let fixture = Fixture::on(server.url()).await;
    server.set("default_transaction_isolation", "serializable");
    let books = PostgresBooks::builder(&fixture.url).clock(fixture.clock.clone());
    let books = books.connect().await.unwrap();
    let now = fixture.clock.now();
    let remix = [counter("7", Window::Day, now)];
    let requests: Vec<_> =
        (0..100).map(|sequence| ask(sequence, &remix, Some(40), 1, now)).collect();
    let answers = join_all(requests.iter().map(|request| books.reserve(request))).await;
    let is_granted = |held: &Held| matches!(held, Held::Granted(_));
    let granted = answers.into_iter().filter(|answer| is_granted(&answer.as_ref().unwrap().held));
    assert_eq!(granted.count(), 40);
}

#[tokio::test]
async fn no_password_shows() {
    let at = |address: &str| format!("postgres://app:s3cret@{address}/app");
    let builder = PostgresBooks::builder(at("127.0.0.1:1"));
    assert!(!format!("{builder:?}").contains("s3cret"));
    let urls = [at("127.0.0.1:port"), at("[::"), "app:s3cret@db".to_owned(), at("")];
    let connect = |url| PostgresBooks::builder(url).connect();
    // Those that nobody answers are tried for some seconds.
    let (refused, others) = tokio::join!(builder.connect(), join_all(urls.map(connect)));
    let refused = refused.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    for error in others {
        let error = error.unwrap_err();
        assert_eq!(error.operation(), "connect");
        assert!(!format!("{error:?} {error} {}", reason(&error)).contains("s3cret"), "{error:?}");
    }
    // A role that is not there.
    let url = Postgres::shared().url().replace("postgres@", "app:s3cret@");
    let error = PostgresBooks::builder(url).connect().await.unwrap_err();
    assert!(!error.is_transient());
    assert!(!format!("{error:?} {error} {}", reason(&error)).contains("s3cret"), "{error:?}");
}

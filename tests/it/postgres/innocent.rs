//! Calls that have nothing to do with what another one waits for.

use futures::future::join_all;
use sqlx::{Connection, Executor, PgConnection};
use tower_quota::Window;
use tower_quota::store::{Held, PostgresBooks, RemoteBooks};

use crate::support::counters::{SECOND, ask, counter};
use crate::support::servers::Postgres;

#[tokio::test]
async fn calls_done_together_do_not_fail_for_a_lock_that_one_of_them_needs() {
    let server = Postgres::start();
    let books = PostgresBooks::builder(server.url()).timeout(4 * SECOND).connect().await.unwrap();
    books.migrate().await.unwrap();
    let now = books.time().await.unwrap();
    let counters = |own: u64| {
        [
            counter("everyone", Window::Lifetime, now),
            counter(own.to_string(), Window::Lifetime, now),
        ]
    };
    for own in 0..10 {
        books.reserve(&ask(own, &counters(own), None, 1, now)).await.unwrap();
    }
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    let lock = "SELECT * FROM quota_counter WHERE key = $1 FOR UPDATE";
    sqlx::query(lock).bind(counters(3)[1].key()).execute(&mut other).await.unwrap();
    let now = books.time().await.unwrap();
    let requests: Vec<_> = (0..10)
        .map(|own| {
            let mut request = ask(100 + own, &counters(own), None, 1, now);
            request.not_after = now.saturating_add(8 * SECOND);
            request
        })
        .collect();
    let answers = join_all(requests.iter().map(|request| books.reserve(request))).await;
    for (own, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(verdict) => assert!(own != 3 && matches!(verdict.held, Held::Granted(_)), "{own}"),
            Err(error) => assert!(own == 3 && error.is_transient(), "{own}: {error:?}"),
        }
    }
}

/// As a vacuum locks a table.
#[tokio::test]
async fn to_make_tables_that_are_there_waits_for_nobody() {
    let server = Postgres::start();
    let books = PostgresBooks::builder(server.url()).connect().await.unwrap();
    books.migrate().await.unwrap();
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let lock = "BEGIN; LOCK TABLE quota_counter, quota_hold, quota_merged
        IN SHARE UPDATE EXCLUSIVE MODE";
    other.execute(lock).await.unwrap();
    let mut third = PgConnection::connect(&server.url()).await.unwrap();
    let waits = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut third).await.unwrap() == 0 {}
    };
    tokio::select! {
        made = books.migrate() => made.unwrap(),
        () = waits => panic!("it waits for a lock"),
    }
}

#[tokio::test]
async fn what_is_missing_of_the_tables_is_made() {
    let server = Postgres::start();
    let books = PostgresBooks::builder(server.url()).connect().await.unwrap();
    books.migrate().await.unwrap();
    let names = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
        WHERE relname LIKE 'quota%'";
    let all = server.sql(names);
    server.sql("DROP INDEX quota_hold_live; DROP TABLE quota_merged");
    assert_ne!(server.sql(names), all);
    books.migrate().await.unwrap();
    assert_eq!(server.sql(names), all);
    assert_eq!(all.split(' ').filter(|name| !name.ends_with("_pkey")).count(), 10);
}

//! The tables: made, named, shared and swept.

use futures::future::join_all;
use sqlx::{Connection, Executor, PgConnection};
use tower_quota::store::{Held, PostgresBooks, RemoteBooks, RemoteSettlement, Renewal};
use tower_quota::{Clock, Spent, Window};

use super::{Fixture, LEASE};
use crate::support::counters::{Counted, SECOND, ask, counter};
use crate::support::servers::Postgres;
use crate::support::swept::check_sweep;

/// The rows of each table: counters, holds, lines of changes.
async fn rows(fixture: &Fixture) -> (i64, i64, i64) {
    let mut connection = PgConnection::connect(&fixture.url).await.unwrap();
    let counted = "SELECT (SELECT count(*) FROM quota_counter), (SELECT count(*) FROM quota_hold),
        (SELECT count(*) FROM quota_merged)";
    sqlx::query_as(counted).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_can_make_the_tables_at_once() {
    let url = Postgres::shared().database();
    let makers = (0..8).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let books = PostgresBooks::builder(url).connections(1).connect().await.unwrap();
            books.migrate().await.unwrap();
        })
    });
    for made in join_all(makers).await {
        made.unwrap();
    }
}

#[tokio::test]
async fn without_tables_the_error_says_what_to_do() {
    let books = PostgresBooks::builder(Postgres::shared().database()).connect().await.unwrap();
    let now = books.time().await.unwrap();
    let remix = counter("7", Window::Day, now);
    let error = books.reserve(&ask(1, &[remix], None, 1, now)).await.unwrap_err();
    assert_eq!(error.operation(), "reserve");
    assert!(!error.is_transient());
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("call `migrate`"), "{source}");
}

#[tokio::test]
async fn books_in_other_schemas_and_with_other_prefixes_are_other_books() {
    let fixture = Fixture::new().await;
    let mut connection = PgConnection::connect(&fixture.url).await.unwrap();
    connection.execute("CREATE SCHEMA \"Billing\"").await.unwrap();
    let now = fixture.clock.now();
    let remix = [counter("7", Window::Day, now)];
    let builder = || PostgresBooks::builder(&fixture.url).clock(fixture.clock.clone());
    for builder in [builder().prefix("staging_"), builder().prefix(""), builder().schema("Billing")]
    {
        let books = builder.connect().await.unwrap();
        books.migrate().await.unwrap();
        assert_eq!(books.counted(&remix).await.unwrap()[0].held, 0);
        books.reserve(&ask(1, &remix, Some(1), 1, now)).await.unwrap();
        assert_eq!(books.counted(&remix).await.unwrap()[0].held, 1);
    }
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM \"Billing\".quota_hold")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(there, 1);
    assert_eq!(rows(&fixture).await, (0, 0, 0));
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let url = "postgres://nobody@127.0.0.1/none";
    for prefix in ["quota; DROP TABLE users; --", "q\"", "1st_", "Ä", &"q".repeat(33)] {
        let error = PostgresBooks::builder(url).prefix(prefix).connect().await.unwrap_err();
        assert!(!error.is_transient());
    }
    for schema in ["", "a.b", "a\"b", "a b", &"s".repeat(64)] {
        let error = PostgresBooks::builder(url).schema(schema).connect().await.unwrap_err();
        assert_eq!(error.operation(), "connect");
        assert!(!error.is_transient());
    }
}

/// Two books stand for two processes. Whoever makes a counter, holds the last unit, settles or
/// sweeps meets all the others.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_share_a_database_grant_exactly_the_amount() {
    let fixture = Fixture::new().await;
    let other = PostgresBooks::builder(&fixture.url).lease(LEASE).clock(fixture.clock.clone());
    let other = other.connect().await.unwrap();
    let now = fixture.clock.now();
    let shared = counter("everyone", Window::Day, now);
    let asks = (0..400).map(|sequence| {
        let own = counter(format!("profile {}", sequence % 7), Window::Day, now);
        // In either order: the books lock them in theirs.
        let counters = match sequence % 3 {
            0 => vec![shared.clone(), own],
            1 => vec![own, shared.clone()],
            _ => vec![shared.clone()],
        };
        let request = ask(sequence, &counters, Some(50), 1, now);
        let books = if sequence % 2 == 0 { &fixture.books } else { &other };
        async move {
            books.sweep(10).await.unwrap();
            match books.reserve(&request).await.unwrap().held {
                Held::Granted(_) => Some(request),
                _ => None,
            }
        }
    });
    let granted: Vec<_> = join_all(asks).await.into_iter().flatten().collect();
    assert_eq!(granted.len(), 50);
    let shared = [shared];
    assert_eq!(fixture.books.counted(&shared).await.unwrap()[0].held, 50);

    let settled = granted.into_iter().map(|request| {
        let (id, counters) = (request.id, request.charges);
        let books = if id.sequence % 2 == 0 { &other } else { &fixture.books };
        let settlement = RemoteSettlement { id, counters, spent: Spent::Held, after: None };
        async move { books.settle(&[settlement.clone(), settlement]).await.unwrap() }
    });
    join_all(settled).await;
    let count = fixture.books.counted(&shared).await.unwrap()[0];
    assert_eq!((count.used, count.held), (50, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_sent_many_times_at_once_is_one_grant() {
    let fixture = Fixture::new().await;
    let now = fixture.clock.now();
    let remix = [counter("7", Window::Day, now)];
    let books = || PostgresBooks::builder(&fixture.url).clock(fixture.clock.clone()).connect();
    let books = join_all((0..12).map(|_| books())).await;
    // The counter is there: the short way is open.
    fixture.books.reserve(&ask(0, &remix, None, 1, now)).await.unwrap();
    let request = ask(1, &remix, Some(9), 2, now);
    let again = books.iter().map(|books| books.as_ref().unwrap().reserve(&request));
    let answers = join_all(again).await;
    for answer in answers {
        assert!(matches!(answer.unwrap().held, Held::Granted(_)));
    }
    assert_eq!(fixture.books.counted(&remix).await.unwrap()[0].held, 3);
}

#[tokio::test]
async fn a_denial_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    let now = fixture.clock.now();
    let remix = [counter("7", Window::Day, now), counter("7", Window::Minute, now)];
    let denied = fixture.books.reserve(&ask(1, &remix, Some(1), 2, now)).await.unwrap();
    assert!(matches!(denied.held, Held::Denied(_)));
    assert_eq!(rows(&fixture).await, (0, 0, 0));
}

#[tokio::test]
async fn open_windows_and_live_holds_are_not_swept() {
    let fixture = Fixture::new().await;
    let (books, clock) = (&fixture.books, &fixture.clock);
    let short = [counter("7", Window::Fixed(10 * SECOND), clock.now())];
    let request = ask(1, &short, None, 1, clock.now());
    books.reserve(&request).await.unwrap();
    let renewal = Renewal { id: request.id, counters: request.charges };
    // A stream that lasts far longer than its window and what is kept of it.
    for _ in 0..20 {
        clock.advance(5 * SECOND);
        books.renew(std::slice::from_ref(&renewal)).await.unwrap();
        assert_eq!(books.sweep(100).await.unwrap(), 0);
    }
    assert_eq!(rows(&fixture).await, (1, 1, 0));
}

#[tokio::test]
async fn what_nobody_will_miss_is_deleted_a_few_at_a_time() {
    let fixture = Fixture::new().await;
    let (books, clock) = (&fixture.books, &fixture.clock);
    check_sweep(books, clock, async || rows(&fixture).await).await;
}

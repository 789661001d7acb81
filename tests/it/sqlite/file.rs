//! Books in one file: made, shared, closed and opened again.

use futures::future::{FutureExt, join_all};
use tower_quota::store::{Change, Held, RemoteBooks, RemoteChange, RemoteSettlement, SqliteBooks};
use tower_quota::{Clock, Spent, Window};

use super::{books, open};
use crate::support::counters::{Counted, ask, counter};
use crate::support::{Directory, noon};

#[tokio::test]
async fn many_can_make_the_tables_at_once() {
    let directory = Directory::new();
    let clock = noon();
    let openers = (0..8).map(|_| async {
        let books = open(&directory, &clock).await;
        books.migrate().await.unwrap();
    });
    join_all(openers).await;
}

#[tokio::test]
async fn without_tables_the_error_says_what_to_do() {
    let directory = Directory::new();
    let clock = noon();
    let books = open(&directory, &clock).await;
    let remix = counter("7", Window::Day, clock.now());
    let error = books.reserve(&ask(1, &[remix], None, 1, clock.now())).await.unwrap_err();
    assert_eq!(error.operation(), "reserve");
    assert!(!error.is_transient());
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("call `migrate`"), "{source}");
}

#[tokio::test]
async fn books_with_other_prefixes_are_other_books() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    let others = SqliteBooks::builder(directory.path().join("quota.db")).prefix("staging_");
    let others = others.clock(clock.clone()).connect().await.unwrap();
    others.migrate().await.unwrap();
    let remix = [counter("7", Window::Day, clock.now())];
    books.reserve(&ask(1, &remix, Some(1), 1, clock.now())).await.unwrap();
    assert_eq!(books.counted(&remix).await.unwrap()[0].held, 1);
    assert_eq!(others.counted(&remix).await.unwrap()[0].held, 0);
}

#[tokio::test]
async fn a_prefix_that_is_no_name_is_refused() {
    let directory = Directory::new();
    for prefix in ["quota; DROP TABLE users; --", "q\"", "1st_", "Ä", &"q".repeat(33)] {
        let builder = SqliteBooks::builder(directory.path().join("quota.db")).prefix(prefix);
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.operation(), "connect");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn counts_and_holds_outlive_a_restart() {
    let directory = Directory::new();
    let (before, clock) = books(&directory).await;
    let remix = [counter("7", Window::Day, clock.now())];
    let request = ask(1, &remix, Some(5), 2, clock.now());
    before.reserve(&request).await.unwrap();
    let debit =
        RemoteChange { nonce: 1, sequence: 1, counters: remix.to_vec(), change: Change::Debit(3) };
    before.change(&debit).await.unwrap();
    drop(before);

    let after = open(&directory, &clock).await;
    let count = after.counted(&remix).await.unwrap()[0];
    assert_eq!((count.used, count.held), (3, 2));
    let full = after.reserve(&ask(2, &remix, Some(5), 1, clock.now())).await.unwrap();
    assert!(matches!(full.held, Held::Denied(_)));
    let settlement = RemoteSettlement {
        id: request.id,
        counters: request.charges,
        spent: Spent::Held,
        after: None,
    };
    after.settle(&[settlement]).await.unwrap();
    let count = after.counted(&remix).await.unwrap()[0];
    assert_eq!((count.used, count.held), (5, 0));
}

/// Two books stand for two processes: each has a writing connection of its own.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_share_a_file_grant_exactly_the_amount() {
    let directory = Directory::new();
    let (one, clock) = books(&directory).await;
    let other = open(&directory, &clock).await;
    let remix = [counter("7", Window::Day, clock.now())];
    let now = clock.now();
    let asks = (0..400).map(|sequence| {
        let request = ask(sequence, &remix, Some(50), 1, now);
        let books = if sequence % 2 == 0 { &one } else { &other };
        async move { matches!(books.reserve(&request).await.unwrap().held, Held::Granted(_)) }
    });
    let granted = join_all(asks).await.into_iter().filter(|granted| *granted).count();
    assert_eq!(granted, 50);
    assert_eq!(one.counted(&remix).await.unwrap()[0].held, 50);
}

#[tokio::test]
async fn whoever_stops_waiting_takes_nothing_from_the_others() {
    let directory = Directory::new();
    let (books, clock) = books(&directory).await;
    let remix = [counter("7", Window::Day, clock.now())];
    let requests: Vec<_> =
        (0..20).map(|sequence| ask(sequence, &remix, None, 1, clock.now())).collect();
    let mut waiting: Vec<_> =
        requests.iter().map(|request| Box::pin(books.reserve(request))).collect();
    for reserve in &mut waiting {
        assert!(reserve.now_or_never().is_none());
    }
    // Among them the one that came first, whose call began the writing.
    waiting.drain(0..10);
    for answer in join_all(waiting).await {
        assert!(matches!(answer.unwrap().held, Held::Granted(_)));
    }
    let held = books.counted(&remix).await.unwrap()[0].held;
    assert!((10..=20).contains(&held), "{held}");
}

/// A test, or a program, may have several runtimes one after the other.
#[test]
fn a_runtime_that_ends_does_not_stop_the_books() {
    let directory = Directory::new();
    let clock = noon();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let now = clock.now();
    let remix = [counter("7", Window::Day, now)];
    let first = runtime();
    let books = first.block_on(async { books(&directory).await.0 });
    let request = ask(1, &remix, None, 1, now);
    first.block_on(async {
        let mut waiting = Box::pin(books.reserve(&request));
        assert!((&mut waiting).now_or_never().is_none());
    });
    drop(first);
    let held = runtime().block_on(books.reserve(&ask(2, &remix, None, 1, now))).unwrap().held;
    assert!(matches!(held, Held::Granted(_)));
}

//! Callers that give up, and connections that do not answer: nobody else notices.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection};
use tower_quota::Window;
use tower_quota::store::{Change, Held, PostgresBooks, RemoteBooks, RemoteChange};

use super::network::Network;
use crate::support::counters::{Counted, ask, counter};
use crate::support::proxy::Fault;
use crate::support::servers::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_takes_no_grants_of_others_along() {
    let network = Network::new(1, Duration::from_secs(60)).await;
    let now = network.now().await;
    let remix = [counter("7", Window::Lifetime, now)];
    network.books.reserve(&ask(1, &remix, Some(100), 1, now)).await.unwrap();
    let counters = vec![counter("8", Window::Lifetime, now)];
    let debit = RemoteChange { nonce: 3, sequence: 1, counters, change: Change::Debit(1) };
    let mut begin = network.proxy.script("BEGIN", Fault::Hold);
    {
        let change = network.books.change(&debit);
        tokio::pin!(change);
        tokio::select! { _ = &mut change => unreachable!(), () = begin.struck() => {} }
    }
    begin.deliver();
    let request = ask(2, &remix, Some(100), 1, network.now().await);
    let verdict = network.books.reserve(&request).await.unwrap();
    assert!(matches!(verdict.held, Held::Granted(_)));
    assert_eq!(network.direct.counted(&remix).await.unwrap()[0].held, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_answer_stops_nobody_for_longer_than_the_timeout() {
    let network = Network::new(10, Duration::from_millis(200)).await;
    let now = network.now().await;
    let remix = [counter("everyone", Window::Lifetime, now)];
    network.direct.reserve(&ask(1, &remix, Some(100), 1, now)).await.unwrap();
    let mut lost = network.proxy.script("", Fault::Hold);
    let request = ask(2, &remix, Some(100), 1, network.now().await);
    let (unanswered, ()) = tokio::join!(network.books.reserve(&request), lost.struck());
    let error = unanswered.unwrap_err();
    assert_eq!(error.operation(), "reserve");
    assert!(error.is_transient(), "{error:?}");
    // As soon as the worker has given up as well; the lost connection is still open.
    let mut sequence = 3;
    loop {
        let request = ask(sequence, &remix, Some(100), 1, network.now().await);
        match network.books.reserve(&request).await {
            Ok(verdict) => break assert!(matches!(verdict.held, Held::Granted(_))),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        sequence += 1;
        assert!(sequence < 10, "nobody is served");
    }
    drop(lost);
}

#[tokio::test]
async fn every_verb_gives_up_in_time_on_connections_without_timeouts_of_their_own() {
    let server = Postgres::start();
    let pool = PgPoolOptions::new().connect(&server.url()).await.unwrap();
    let books = PostgresBooks::from_pool(pool).timeout(Duration::from_millis(200));
    let books = books.connect().await.unwrap();
    books.migrate().await.unwrap();
    let now = books.time().await.unwrap();
    let remix = [counter("7", Window::Lifetime, now)];
    books.reserve(&ask(1, &remix, None, 1, now)).await.unwrap();
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    other.execute("BEGIN; LOCK TABLE quota_counter IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let held = books.reserve(&ask(2, &remix, None, 1, now)).await.unwrap_err();
    let read = books.counted(&remix).await.unwrap_err();
    server.pause();
    let time = books.time().await.unwrap_err();
    server.resume();
    for (error, operation) in [(held, "reserve"), (read, "count"), (time, "tell the time")] {
        assert_eq!(error.operation(), operation);
        assert!(error.is_transient(), "{error:?}");
    }
}

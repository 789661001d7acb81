//! Connections that break, or lead to a server that does not answer.

use futures::FutureExt;
use redis::InfoDict;
use tower_quota::Window;
use tower_quota::store::{Held, RemoteBooks};

use super::{ask, books, counter, hold, now, read, request, settlement};
use crate::support::servers::Redis;

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let (mut server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock))];
    hold(&books, 1, &day).await;
    server.kill();
    let request = request(&books, 2, &day).await;
    for _ in 0..3 {
        let error = books.reserve(&request).await.unwrap_err();
        assert!(error.is_transient());
    }
    server.restart_empty();
    let verdict = books.reserve(&request).await.unwrap();
    assert!(matches!(verdict.held, Held::Granted(_)));
    // The server had saved nothing. What was forgotten is settled by changing nothing.
    books.settle(&[settlement(1, &day)]).await.unwrap();
    assert_eq!(read(&books, &day[0]).await, (0, 1));
}

#[tokio::test]
async fn a_server_that_hangs_is_a_failure_and_what_it_does_later_counts_once() {
    let (server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock))];
    let request = request(&books, 1, &day).await;
    server.pause();
    for _ in 0..2 {
        let error = books.reserve(&request).await.unwrap_err();
        assert!(error.is_transient());
    }
    server.resume();
    // It has been sent once before, and its answer was lost.
    let verdict = books.reserve(&request).await.unwrap();
    assert!(matches!(verdict.held, Held::Granted(_)));
    assert_eq!(read(&books, &day[0]).await, (0, 1));
}

/// How many connections the server has accepted, with the one that asks.
async fn connections(server: &Redis) -> u64 {
    let info: InfoDict = ask(server, "INFO stats").await;
    info.get("total_connections_received").unwrap()
}

#[tokio::test]
async fn a_connection_that_nobody_hears_of_is_replaced_though_all_gave_up_before_it_did() {
    let (server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock))];
    for (given_up, replaced) in [(3, 0), (4, 1)] {
        hold(&books, 1, &day).await;
        let before = connections(&server).await;
        let request = request(&books, 1, &day).await;
        for _ in 0..given_up {
            assert!(books.reserve(&request).now_or_never().is_none());
        }
        hold(&books, 1, &day).await;
        assert_eq!(connections(&server).await, before + 1 + replaced);
    }
}

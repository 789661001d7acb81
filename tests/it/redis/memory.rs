//! A server that runs out of memory, or would evict what it keeps.

use tower_quota::Window;
use tower_quota::store::{RedisBooks, RemoteBooks, Renewal};

use super::{books, charges, counter, hold, id, now, read, request, settlement};

#[tokio::test]
async fn settlements_pass_when_memory_has_run_out() {
    let (server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock))];
    hold(&books, 1, &day).await;
    server.set("maxmemory", "1");

    let request = request(&books, 2, &day).await;
    let error = books.reserve(&request).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(error.operation(), "reserve");
    assert_eq!(read(&books, &day[0]).await, (0, 1));

    books.settle(&[settlement(1, &day)]).await.unwrap();
    assert_eq!(read(&books, &day[0]).await, (1, 0));
}

#[tokio::test]
async fn leases_are_renewed_when_memory_has_run_out() {
    let (server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock))];
    hold(&books, 1, &day).await;
    server.set("maxmemory", "1");
    clock.advance(books.lease().length / 2);
    books.renew(&[Renewal { id: id(1), counters: charges(&day, 10) }]).await.unwrap();
    clock.advance(books.lease().length / 2);
    assert_eq!(read(&books, &day[0]).await, (0, 1));
}

#[tokio::test]
async fn a_policy_that_evicts_is_warned_of() {
    let (server, books, _) = books().await;
    assert!(books.warnings().is_empty());
    server.set("maxmemory-policy", "volatile-ttl");
    let books = RedisBooks::builder(server.url()).connect().await.unwrap();
    assert!(books.warnings()[0].contains("volatile-ttl"));
}

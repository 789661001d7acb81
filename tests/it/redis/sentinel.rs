//! A primary that Sentinels name.

use tower_quota::Window;
use tower_quota::store::{Held, RedisBooks, RemoteBooks};

use super::{counter, hold, read, request};
use crate::support::proxy::Proxy;
use crate::support::servers::{Redis, RedisSentinel};

/// A server, and an address that a Sentinel can name it by.
async fn reachable() -> (Redis, Proxy) {
    let server = Redis::start();
    let proxy = Proxy::start(server.socket().as_path()).await;
    (server, proxy)
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found() {
    let ((old, old_proxy), (_new, new_proxy)) = (reachable().await, reachable().await);
    let sentinel = RedisSentinel::start(old_proxy.address());
    // One Sentinel that is gone, and one that is there.
    let urls = ["redis://127.0.0.1:1".to_owned(), sentinel.url()];
    let books = RedisBooks::sentinel(urls, "redis://mymaster/0").connect().await.unwrap();
    let day = [counter("ada", Window::Day, books.time().await.unwrap())];
    hold(&books, 1, &day).await;
    assert_eq!(read(&books, &day[0]).await, (0, 1));

    sentinel.name(new_proxy.address());
    let port = new_proxy.address().port().to_string();
    old.command(&["REPLICAOF", "127.0.0.1", &port]);

    let request = request(&books, 2, &day).await;
    let error = books.reserve(&request).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let verdict = books.reserve(&request).await.unwrap();
    assert!(matches!(verdict.held, Held::Granted(_)));
    // This one never heard of the first hold.
    assert_eq!(read(&books, &day[0]).await, (0, 1));
}

#[tokio::test]
async fn a_primary_that_no_sentinel_knows_is_an_error() {
    let (_primary, proxy) = reachable().await;
    let sentinel = RedisSentinel::start(proxy.address());
    let unknown = RedisBooks::sentinel([sentinel.url()], "redis://other/0").connect().await;
    assert_eq!(unknown.unwrap_err().operation(), "connect");
    let unnamed = RedisBooks::sentinel([sentinel.url()], "unix:///socket").connect().await;
    assert!(!unnamed.unwrap_err().is_transient());
}

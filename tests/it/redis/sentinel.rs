//! A primary that Sentinels name.

use tower_quota::Window;
use tower_quota::store::{Held, RedisBooks, RemoteBooks};

use super::server::RedisServer;
use super::{counter, hold, read, request};

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found() {
    let (old, new) = (RedisServer::start_on_port(&[]), RedisServer::start_on_port(&[]));
    let sentinel = RedisServer::start_sentinel(&old);
    // One Sentinel that is gone, and one that is there.
    let urls = ["redis://127.0.0.1:1".to_owned(), sentinel.url()];
    let books = RedisBooks::sentinel(urls, "redis://mymaster/0").connect().await.unwrap();
    let day = [counter("ada", Window::Day, books.time().await.unwrap()).await];
    hold(&books, 1, &day).await;
    assert_eq!(read(&books, &day[0]).await, (0, 1));

    let port = new.port();
    sentinel.tell("SENTINEL REMOVE mymaster").await;
    sentinel.tell(&format!("SENTINEL MONITOR mymaster 127.0.0.1 {port} 1")).await;
    old.tell(&format!("REPLICAOF 127.0.0.1 {port}")).await;

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
    let primary = RedisServer::start_on_port(&[]);
    let sentinel = RedisServer::start_sentinel(&primary);
    let unknown = RedisBooks::sentinel([sentinel.url()], "redis://other/0").connect().await;
    assert_eq!(unknown.unwrap_err().operation(), "connect");
    let unnamed = RedisBooks::sentinel([sentinel.url()], "unix:///socket").connect().await;
    assert!(!unnamed.unwrap_err().is_transient());
}

//! Ids are any bytes, and keys of different ids stay apart.

use std::collections::HashSet;

use tower_quota::Window;
use tower_quota::store::{Held, RedisBooks, RemoteBooks};

use super::{ask, books, counter, hold, now, read, settlement};
use crate::support::servers::Redis;

#[tokio::test]
async fn ids_of_odd_bytes_have_counts_and_slots_of_their_own() {
    let (server, books, clock) = books().await;
    let odd: [&[u8]; 14] = [
        b"a",
        b"{",
        b"}",
        b"{}",
        b"a}",
        b"{a}",
        b"a}c:",
        b"%7D",
        b"%",
        b"%25",
        b" \r\n",
        b"\0",
        b"\xff\xfe",
        b"a:0",
    ];
    for (sequence, scope) in (0..).zip(odd) {
        let day = [counter(scope, Window::Day, now(&clock))];
        let Held::Granted(counts) = hold(&books, sequence, &day).await else { panic!("denied") };
        assert_eq!((counts[0].used, counts[0].held), (0, 1), "{scope:?}");
        // One that is not alone has a record in the other key.
        hold(&books, 100 + sequence, &day).await;
    }
    let keys: Vec<Vec<u8>> = ask(&server, "KEYS *").await;
    assert_eq!(keys.len(), 2 * odd.len());
    let tags: HashSet<_> = keys.iter().map(|key| hash_tag(key)).collect();
    assert_eq!(tags.len(), odd.len());
}

/// What a Cluster finds the slot by: between the first brace and the first that closes.
fn hash_tag(key: &[u8]) -> &[u8] {
    let from = key.iter().position(|byte| *byte == b'{').unwrap() + 1;
    let length = key[from..].iter().position(|byte| *byte == b'}').unwrap();
    assert!(length > 0, "a Cluster would hash the whole key");
    &key[from..from + length]
}

#[tokio::test]
async fn books_of_another_prefix_are_other_books() {
    let (server, books, clock) = books().await;
    let others = RedisBooks::builder(server.url())
        .prefix("other:")
        .clock(clock.clone())
        .connect()
        .await
        .unwrap();
    let day = [counter("ada", Window::Day, now(&clock))];
    hold(&books, 1, &day).await;
    assert_eq!(read(&others, &day[0]).await, (0, 0));
    others.settle(&[settlement(1, &day)]).await.unwrap();
    assert_eq!(read(&books, &day[0]).await, (0, 1));
}

#[tokio::test]
async fn a_prefix_that_would_hide_the_hash_tags_is_refused() {
    let server = Redis::start();
    for prefix in ["{a}", "a{", "}"] {
        let error = RedisBooks::builder(server.url()).prefix(prefix).connect().await.unwrap_err();
        assert!(!error.is_transient());
    }
}

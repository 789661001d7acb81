//! Keys expire when nothing in them can matter any more, and not before.

use std::time::Duration;

use tower_quota::store::{
    Change, Lease, RedisBooks, RemoteBooks, RemoteChange, RemoteCounter, Renewal,
};
use tower_quota::{Timestamp, Window};

use super::{ask, books, charges, counter, hold, id, now, read, settlement};
use crate::support::servers::Redis;

/// When each key expires, in milliseconds since the epoch; negative: never.
async fn expiries(server: &Redis) -> Vec<i64> {
    let keys: Vec<String> = ask(server, "KEYS *").await;
    let mut expiries = Vec::new();
    for key in keys {
        expiries.push(ask(server, &format!("PEXPIRETIME {key}")).await);
    }
    expiries
}

fn debit(sequence: u64, counters: Vec<RemoteCounter>) -> RemoteChange {
    RemoteChange { nonce: 1, sequence, counters, change: Change::Debit(1) }
}

#[tokio::test]
async fn every_key_expires_whatever_is_done_to_it() {
    let (server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock))];
    for round in 0..3 {
        // One is at hand, and the other on file.
        hold(&books, 100 + round, &day).await;
        hold(&books, round, &day).await;
        assert_eq!(expiries(&server).await.len(), 2);
        assert!(expiries(&server).await.iter().all(|at| *at > 0));

        let renewal = Renewal { id: id(round), counters: charges(&day, 10) };
        books.renew(&[renewal]).await.unwrap();
        assert!(expiries(&server).await.iter().all(|at| *at > 0));

        books.change(&debit(round + 1, day.to_vec())).await.unwrap();
        // The holds are empty then, and their key is made anew in the next round.
        let both = [100 + round, round].map(|sequence| settlement(sequence, &day));
        books.settle(&both).await.unwrap();
        let left = expiries(&server).await;
        assert_eq!(left.len(), 1);
        assert!(left.iter().all(|at| *at > 0));
    }
}

#[tokio::test]
async fn a_counter_that_begins_with_a_change_expires() {
    let (server, books, clock) = books().await;
    for change in [Change::Debit(1), Change::Credit(5), Change::Reset] {
        let day = counter(format!("{change:?}"), Window::Day, now(&clock));
        let change = RemoteChange { nonce: 1, sequence: 1, counters: vec![day], change };
        books.change(&change).await.unwrap();
    }
    let expiries = expiries(&server).await;
    assert_eq!(expiries.len(), 3);
    assert!(expiries.iter().all(|at| *at > 0));
}

#[tokio::test]
async fn what_counts_for_a_lifetime_never_expires() {
    let (server, books, clock) = books().await;
    let lifetime = [counter("ada", Window::Lifetime, now(&clock))];
    hold(&books, 1, &lifetime).await;
    books.renew(&[Renewal { id: id(1), counters: charges(&lifetime, 10) }]).await.unwrap();
    books.change(&debit(1, lifetime.to_vec())).await.unwrap();
    let expiries = expiries(&server).await;
    assert_eq!(expiries.len(), 2);
    assert!(expiries.iter().all(|at| *at < 0));
}

#[tokio::test]
async fn what_ends_or_lives_on_makes_no_key() {
    let (server, books, clock) = books().await;
    let day = counter("ada", Window::Day, now(&clock));
    books.settle(&[settlement(9, std::slice::from_ref(&day))]).await.unwrap();
    books.renew(&[Renewal { id: id(9), counters: charges(&[day], 10) }]).await.unwrap();
    assert!(expiries(&server).await.is_empty());
}

/// By the server's own clock: under another one, keys live longer than needed.
#[tokio::test]
async fn a_hold_that_is_renewed_past_the_end_of_its_window_keeps_its_counter() {
    let server = Redis::start();
    let keep = Duration::from_secs(60);
    let connect = |length| {
        let lease = Lease { length, keep };
        RedisBooks::builder(server.url()).lease(lease).connect()
    };
    let short = connect(Duration::from_secs(30)).await.unwrap();
    let long = connect(Duration::from_secs(300)).await.unwrap();

    let start = short.time().await.unwrap();
    // A window that ends within the lease.
    let mut ending = counter("ada", Window::Minute, start);
    ending.window.end = start.saturating_add(Duration::from_secs(20));
    let ending = [ending];

    let at_least = |expiries: Vec<i64>, after: Duration| {
        assert!(!expiries.is_empty());
        let needed: Timestamp = start.saturating_add(after);
        assert!(expiries.iter().all(|at| *at >= needed.as_millis()));
    };
    hold(&short, 1, &ending).await;
    at_least(expiries(&server).await, Duration::from_secs(30 + 60));

    hold(&long, 2, &ending).await;
    at_least(expiries(&server).await, Duration::from_secs(300 + 60));
    long.settle(&[settlement(2, &ending)]).await.unwrap();

    let renewal = Renewal { id: id(1), counters: charges(&ending, 10) };
    let longest = RedisBooks::builder(server.url())
        .lease(Lease { length: Duration::from_secs(900), keep })
        .connect()
        .await
        .unwrap();
    longest.renew(&[renewal]).await.unwrap();
    at_least(expiries(&server).await, Duration::from_secs(900 + 60));

    // And no key is given a shorter life.
    hold(&short, 3, &ending).await;
    at_least(expiries(&server).await, Duration::from_secs(900 + 60));
}

#[tokio::test]
async fn the_longest_window_expires_as_well() {
    let (server, books, clock) = books().await;
    let longest = Window::Rolling(Duration::from_millis(i64::MAX.unsigned_abs()));
    let counter = counter("ada", longest, now(&clock));
    hold(&books, 1, std::slice::from_ref(&counter)).await;
    assert_eq!(read(&books, &counter).await, (0, 1));
    let expiries = expiries(&server).await;
    assert_eq!(expiries.len(), 2);
    assert!(expiries.iter().all(|left| *left > 0), "{expiries:?}");
}

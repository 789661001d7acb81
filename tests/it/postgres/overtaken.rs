//! A release that arrives before what it releases.

use std::time::Duration;

use tower_quota::store::{Held, PostgresBooks, RemoteBooks, RemoteReserve, RemoteSettlement};
use tower_quota::{Clock, Spent, Timestamp, Window};

use super::network::{Network, url_through};
use crate::support::counters::{Counted, SECOND, ask, counter};
use crate::support::noon;
use crate::support::proxy::Fault;

/// The release of a caller that does not know whether units were held.
fn release(request: &RemoteReserve) -> RemoteSettlement {
    RemoteSettlement {
        id: request.id,
        counters: request.charges.clone(),
        spent: Spent::Units(0),
        after: Some(request.not_after),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_the_counters_that_are_being_made_with_its_hold() {
    let Network { proxy, books, direct, server } = Network::new(1, 60 * SECOND).await;
    let now = direct.time().await.unwrap();
    let fresh = [counter("7", Window::Lifetime, now), counter("8", Window::Lifetime, now)];
    let mut request = ask(1, &fresh, Some(100), 1, now);
    request.not_after = now.saturating_add(Duration::from_millis(300));
    let mut commit = proxy.script("COMMIT\0", Fault::Hold);
    let settlement = release(&request);
    let reserve = tokio::spawn(async move { books.reserve(&request).await });
    commit.struck().await;
    while direct.time().await.unwrap() <= settlement.after.unwrap() {}
    let settle = async {
        let early = direct.settle(&[settlement]).await.unwrap();
        assert_eq!(early, []);
        direct.counted(&fresh).await.unwrap()
    };
    tokio::pin!(settle);
    let is_waiting = || server.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0";
    let waits = async {
        while !is_waiting() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut settle => panic!("it did not wait"),
        () = waits => {}
    }
    commit.deliver();
    assert!(matches!(reserve.await.unwrap().unwrap().held, Held::Granted(_)));
    for count in settle.await {
        assert_eq!((count.used, count.held), (0, 0));
    }
}

#[tokio::test]
async fn a_release_of_what_was_never_held_makes_no_counters() {
    let Network { direct, server, .. } = Network::new(1, SECOND).await;
    let now = direct.time().await.unwrap();
    let there = ask(1, &[counter("there", Window::Lifetime, now)], None, 1, now);
    direct.reserve(&there).await.unwrap();
    let mut never = ask(2, &[counter("never", Window::Lifetime, now)], None, 1, now);
    never.not_after = Timestamp::from_millis(now.as_millis() - 1);
    // Alone, and together with one that has something to release.
    direct.settle(&[release(&never)]).await.unwrap();
    let settlement = RemoteSettlement { after: None, ..release(&there) };
    direct.settle(&[release(&never), settlement]).await.unwrap();
    assert_eq!(server.sql("SELECT count(*) FROM quota_counter"), "1");
    assert_eq!(server.sql("SELECT count(*) FROM quota_hold"), "0");
}

/// Whoever reads a clock of their own reads it too early, unless all is locked.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_clock_of_ones_own_what_arrives_late_is_stale() {
    let network = Network::new(1, 60 * SECOND).await;
    let clock = noon();
    let open = |url: String| PostgresBooks::builder(url).clock(clock.clone()).timeout(60 * SECOND);
    let slow = open(url_through(&network.proxy)).connect().await.unwrap();
    let direct = open(network.server.url()).connect().await.unwrap();
    let remix = [counter("7", Window::Lifetime, clock.now())];
    direct.reserve(&ask(1, &remix, None, 1, clock.now())).await.unwrap();
    let request = ask(2, &remix, None, 1, clock.now());
    let settlement = release(&request);
    let mut held = network.proxy.script("", Fault::Hold);
    let reserve = tokio::spawn(async move { slow.reserve(&request).await });
    held.struck().await;
    clock.advance(SECOND + Duration::from_millis(1));
    direct.settle(&[settlement]).await.unwrap();
    held.deliver();
    assert_eq!(reserve.await.unwrap().unwrap().held, Held::Stale);
    assert_eq!(direct.counted(&remix).await.unwrap()[0].held, 1);
}

//! A Cluster, whose scripts reach no further than a slot.

use crate::support::counters::Counted;
use tower_quota::Window;
use tower_quota::store::{Held, RedisBooks, RemoteBooks, RemoteCounter};

use super::{counter, hold, new_prefix, now, request, settlement};
use crate::support::noon;
use crate::support::servers::RedisCluster;

/// Books on a Cluster, and two counters that lie at its second and its third node.
async fn books_on(cluster: &RedisCluster) -> (RedisBooks, [RemoteCounter; 2]) {
    let clock = noon();
    let builder = RedisBooks::cluster(cluster.urls()).prefix(new_prefix()).clock(clock.clone());
    let books = builder.connect().await.unwrap();
    let ada = counter("ada", Window::Day, now(&clock));
    let eve = counter("eve", Window::Day, now(&clock));
    (books, [ada, eve])
}

async fn counts(books: &RedisBooks, counters: &[RemoteCounter]) -> Vec<(u64, u64)> {
    let counts = books.counted(counters).await.unwrap();
    counts.iter().map(|count| (count.used, count.held)).collect()
}

/// Ada works for Eve's company, which lies at the third node.
#[tokio::test]
async fn what_belongs_to_a_tenant_lies_in_one_slot_if_it_is_told_to() {
    let cluster = RedisCluster::start();
    let clock = noon();
    let builder = RedisBooks::cluster(cluster.urls()).prefix(new_prefix()).clock(clock.clone());
    let books = builder.tenant_slots().connect().await.unwrap();
    let company = counter("eve", Window::Day, now(&clock));
    let tenant = Some(company.scope.clone());
    let profiles = ["ada", "eve"].map(|id| RemoteCounter {
        tenant: tenant.clone(),
        ..counter(id, Window::Day, now(&clock))
    });
    let [ada, eve] = &profiles;
    let held = hold(&books, 1, &[ada.clone(), company.clone()]).await;
    assert!(matches!(held, Held::Granted(_)));
    hold(&books, 2, std::slice::from_ref(&company)).await;
    let all = [ada.clone(), eve.clone(), company.clone()];
    assert_eq!(counts(&books, &all).await, [(0, 1), (0, 0), (0, 2)]);
    books.settle(&[settlement(1, &[ada.clone(), company])]).await.unwrap();
    assert_eq!(counts(&books, &all).await, [(1, 0), (0, 0), (1, 1)]);
    let sizes = [0, 1, 2].map(|node| cluster.command(node, &["DBSIZE"]));
    assert_eq!(&sizes[..2], ["0", "0"], "all of it lies at the third node");
}

#[tokio::test]
async fn nodes_that_forgot_their_scripts_are_sent_them_again() {
    let cluster = RedisCluster::start();
    let (books, both) = books_on(&cluster).await;
    hold(&books, 1, &both).await;
    for node in 0..3 {
        cluster.command(node, &["SCRIPT", "FLUSH"]);
    }
    assert!(matches!(hold(&books, 2, &both).await, Held::Granted(_)));
    assert_eq!(counts(&books, &both).await, [(0, 2), (0, 2)]);
}

#[tokio::test]
async fn a_slot_that_moves_fails_until_it_has_moved_and_is_followed_then() {
    let cluster = RedisCluster::start();
    let (books, both) = books_on(&cluster).await;
    hold(&books, 1, &both).await;
    let moving = cluster.begin_to_move("{ada}", 1, 0);
    let error = books.reserve(&request(&books, 2, &both).await).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(matches!(hold(&books, 3, &both[1..]).await, Held::Granted(_)));
    cluster.end_to_move(&moving, 1, 0);
    assert!(matches!(hold(&books, 2, &both).await, Held::Granted(_)));
    assert_eq!(counts(&books, &both).await, [(0, 2), (0, 3)]);
    books.settle(&[settlement(1, &both)]).await.unwrap();
    assert_eq!(counts(&books, &both).await, [(1, 1), (1, 2)]);
    let sizes = [0, 1, 2].map(|node| cluster.command(node, &["DBSIZE"]));
    assert_eq!(sizes, ["2", "0", "2"]);
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found() {
    let mut cluster = RedisCluster::start_with_replica();
    let (books, _) = books_on(&cluster).await;
    // It lies at the first node, of which the last is a replica.
    let day = [counter("7", Window::Day, books.time().await.unwrap())];
    hold(&books, 1, &day).await;

    cluster.kill(0);
    cluster.take_over(3);
    let request = request(&books, 2, &day).await;
    let mut failures = 0;
    let verdict = loop {
        match books.reserve(&request).await {
            Ok(verdict) => break verdict,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        failures += 1;
        assert!(failures < 100, "it is not found");
    };
    assert!(matches!(verdict.held, Held::Granted(_)));
}

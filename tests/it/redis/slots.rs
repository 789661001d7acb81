//! A Cluster, whose scripts reach no further than a slot.

use std::sync::Arc;

use tower_quota::Window;
use tower_quota::store::{
    Change, Held, RedisBooks, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, Renewal,
};

use super::{charges, counter, hold, id, new_prefix, now, request, settlement};
use crate::support::noon;
use crate::support::servers::RedisCluster;

/// Books on a Cluster, and two counters that lie at its second and its third node.
async fn books_on(cluster: &RedisCluster) -> (RedisBooks, [RemoteCounter; 2]) {
    let clock = noon();
    let builder = RedisBooks::cluster(cluster.urls()).prefix(new_prefix()).clock(clock.clone());
    let books = builder.connect().await.unwrap();
    let ada = counter("ada", Window::Day, now(&clock)).await;
    let eve = counter("eve", Window::Day, now(&clock)).await;
    (books, [ada, eve])
}

async fn counts(books: &RedisBooks, counters: &[RemoteCounter]) -> Vec<(u64, u64)> {
    let counts = books.read(counters).await.unwrap();
    counts.iter().map(|count| (count.used, count.held)).collect()
}

#[tokio::test]
async fn a_hold_over_several_slots_is_made_and_ended_in_all_of_them() {
    let (books, both) = books_on(RedisCluster::shared()).await;
    hold(&books, 1, &both[1..]).await;
    let Held::Granted(granted) = hold(&books, 2, &both).await else { panic!("denied") };
    assert_eq!([granted[0].held, granted[1].held], [1, 2]);

    books.renew(&[Renewal { id: id(2), counters: charges(&both, 10) }]).await.unwrap();
    let batch = [settlement(1, &both[1..]), settlement(2, &both)];
    assert!(books.settle(&batch).await.unwrap().is_empty());
    assert_eq!(counts(&books, &both).await, [(1, 0), (2, 0)]);
    assert!(books.settle(&batch).await.unwrap().is_empty());
    assert_eq!(counts(&books, &both).await, [(1, 0), (2, 0)]);
}

#[tokio::test]
async fn what_one_slot_denies_is_given_back_in_the_others() {
    let (books, both) = books_on(RedisCluster::shared()).await;
    for first_full in [true, false] {
        let ceilings = if first_full { [0, 10] } else { [10, 0] };
        let charge = |(counter, ceiling): (&RemoteCounter, _)| RemoteCharge {
            counter: counter.clone(),
            ceiling: Some(ceiling),
        };
        let mut request = request(&books, 1, &both).await;
        request.charges = both.iter().zip(ceilings).map(charge).collect::<Arc<[_]>>();
        let Held::Denied(denied) = books.reserve(&request).await.unwrap().held else {
            panic!("granted")
        };
        assert_eq!(denied.len(), 2);
        assert_eq!(counts(&books, &both).await, [(0, 0), (0, 0)]);
    }
}

#[tokio::test]
async fn a_settlement_that_comes_too_early_is_named_once() {
    let (books, both) = books_on(RedisCluster::shared()).await;
    hold(&books, 1, &both).await;
    let mut early = settlement(1, &both);
    early.after = Some(books.time().await.unwrap());
    assert_eq!(books.settle(&[early]).await.unwrap(), [id(1)]);
    assert_eq!(counts(&books, &both).await, [(0, 1), (0, 1)]);
}

#[tokio::test]
async fn a_change_is_made_once_in_each_slot() {
    let (books, both) = books_on(RedisCluster::shared()).await;
    let counters = both.to_vec();
    let change = RemoteChange { nonce: 1, sequence: 1, counters, change: Change::Debit(3) };
    books.change(&change).await.unwrap();
    books.change(&change).await.unwrap();
    assert_eq!(counts(&books, &both).await, [(3, 0), (3, 0)]);
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
async fn a_slot_that_has_moved_is_followed() {
    let cluster = RedisCluster::start();
    let (books, both) = books_on(&cluster).await;
    hold(&books, 1, &both).await;
    cluster.move_slot_of("{ada}", 1, 0);
    assert!(matches!(hold(&books, 2, &both).await, Held::Granted(_)));
    assert_eq!(counts(&books, &both).await, [(0, 2), (0, 2)]);
    books.settle(&[settlement(1, &both)]).await.unwrap();
    assert_eq!(counts(&books, &both).await, [(1, 1), (1, 1)]);
    let sizes = [0, 1, 2].map(|node| cluster.command(node, &["DBSIZE"]));
    assert_eq!(sizes, ["2", "0", "2"]);
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found() {
    let mut cluster = RedisCluster::start_with_replica();
    let (books, _) = books_on(&cluster).await;
    // It lies at the first node, of which the last is a replica.
    let day = [counter("7", Window::Day, books.time().await.unwrap()).await];
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

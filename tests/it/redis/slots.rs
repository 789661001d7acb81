//! A Cluster, whose scripts reach no further than a slot.

use std::sync::Arc;

use tower_quota::store::{
    Change, Held, RedisBooks, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, Renewal,
};
use tower_quota::{ManualClock, Window};

use super::server::RedisServer;
use super::{charges, counter, hold, id, noon, now, request, settlement};

/// Books on a Cluster of one server, and two counters that lie in different slots.
async fn cluster() -> (RedisServer, RedisBooks, [RemoteCounter; 2]) {
    let server = RedisServer::start_cluster().await;
    let clock = ManualClock::at(noon());
    let builder = RedisBooks::cluster([server.url()]).clock(clock.clone());
    let books = builder.connect().await.unwrap();
    let ada = counter("ada", Window::Day, now(&clock)).await;
    let bob = counter("bob", Window::Day, now(&clock)).await;
    (server, books, [ada, bob])
}

async fn counts(books: &RedisBooks, counters: &[RemoteCounter]) -> Vec<(u64, u64)> {
    let counts = books.read(counters).await.unwrap();
    counts.iter().map(|count| (count.used, count.held)).collect()
}

#[tokio::test]
async fn a_hold_over_several_slots_is_made_and_ended_in_all_of_them() {
    let (_server, books, both) = cluster().await;
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
    let (_server, books, both) = cluster().await;
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
    let (_server, books, both) = cluster().await;
    hold(&books, 1, &both).await;
    let mut early = settlement(1, &both);
    early.after = Some(books.time().await.unwrap());
    assert_eq!(books.settle(&[early]).await.unwrap(), [id(1)]);
    assert_eq!(counts(&books, &both).await, [(0, 1), (0, 1)]);
}

#[tokio::test]
async fn a_change_is_made_once_in_each_slot() {
    let (_server, books, both) = cluster().await;
    let counters = both.to_vec();
    let change = RemoteChange { nonce: 1, sequence: 1, counters, change: Change::Debit(3) };
    books.change(&change).await.unwrap();
    books.change(&change).await.unwrap();
    assert_eq!(counts(&books, &both).await, [(3, 0), (3, 0)]);
}

#[tokio::test]
async fn a_node_that_forgot_its_scripts_is_sent_them_again() {
    let (server, books, both) = cluster().await;
    hold(&books, 1, &both).await;
    server.tell("SCRIPT FLUSH").await;
    assert!(matches!(hold(&books, 2, &both).await, Held::Granted(_)));
}

#[tokio::test]
async fn a_slot_that_has_moved_is_followed() {
    let (server, books, both) = cluster().await;
    let other = RedisServer::start_beside(&server).await;
    let slot: u16 = server.ask("CLUSTER KEYSLOT {ada}").await;
    let owner: String = other.ask("CLUSTER MYID").await;
    for node in [&other, &server] {
        node.tell(&format!("CLUSTER SETSLOT {slot} NODE {owner}")).await;
    }
    assert!(matches!(hold(&books, 1, &both).await, Held::Granted(_)));
    assert_eq!(counts(&books, &both).await, [(0, 1), (0, 1)]);
    let keys: Vec<String> = other.ask("KEYS *").await;
    assert_eq!(keys.len(), 2);
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found() {
    let mut primary = RedisServer::start_cluster().await;
    let replica = RedisServer::start_beside(&primary).await;
    let owner: String = primary.ask("CLUSTER MYID").await;
    replica.tell(&format!("CLUSTER REPLICATE {owner}")).await;
    replica.await_line("INFO replication", "master_link_status:up").await;

    let clock = ManualClock::at(noon());
    let builder = RedisBooks::cluster([primary.url(), replica.url()]).clock(clock.clone());
    let books = builder.connect().await.unwrap();
    let day = [counter("ada", Window::Day, now(&clock)).await];
    hold(&books, 1, &day).await;

    primary.kill();
    replica.tell("CLUSTER FAILOVER TAKEOVER").await;
    replica.await_line("CLUSTER INFO", "cluster_state:ok").await;
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

//! A Cluster that loses a node, or moves a slot.

use tower_quota::store::{RedisBooks, RedisBooksBuilder};

use super::{LONG, Load, Payer, SHORT};
use crate::support::servers::RedisCluster;

const AMOUNT: u64 = 1_000_000;
/// Payers whose slots are at each of the nodes.
const PAYERS: [&str; 3] = ["7", "ada", "eve"];

fn books(cluster: &RedisCluster) -> RedisBooksBuilder {
    RedisBooks::cluster(cluster.urls())
}

#[tokio::test]
async fn a_node_that_stands_still_fails_its_payers_alone() {
    let cluster = RedisCluster::start();
    let payer = Payer::new(books(&cluster), 5, SHORT).await;
    let [first, stopped, last] = PAYERS.map(|id| payer.named(id));
    let (committed, released) = (stopped.grant(2).await, stopped.grant(2).await);
    cluster.pause(1);
    // Their first settlement waits in vain, as do the requests.
    committed.commit();
    released.release();
    for _ in 0..3 {
        stopped.fail().await;
        first.grant(1).await.commit();
        last.grant(1).await.commit();
    }
    cluster.resume(1);
    payer.flush().await;
    first.assert_counts(3, 0).await;
    stopped.assert_counts(2, 0).await;
    last.assert_counts(3, 0).await;
    stopped.grant(3).await.commit();
    stopped.deny(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_crashes_under_load_loses_nothing_acknowledged() {
    let mut cluster = RedisCluster::start();
    let payer = Payer::new(books(&cluster), AMOUNT, SHORT).await.named("ada");
    let mut load = Load::start(&payer);
    load.until_granted(50).await;
    cluster.kill(1);
    load.until_failed(1).await;
    cluster.restart(1);
    load.until_granted(50).await;
    assert!(load.check(AMOUNT).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_under_load_counts_exactly() {
    let cluster = RedisCluster::start();
    let payer = Payer::new(books(&cluster), AMOUNT, SHORT).await.named("ada");
    let mut load = Load::start(&payer);
    for (from, to) in [(1, 0), (0, 2), (2, 1)] {
        load.until_granted(50).await;
        cluster.move_slot_of("{ada}", from, to);
    }
    load.until_granted(50).await;
    load.check(AMOUNT).await;
}

#[tokio::test]
async fn what_a_replica_never_heard_of_is_granted_once_more_and_no_more() {
    let mut cluster = RedisCluster::start_with_replica();
    // It begins to copy what is there after five seconds.
    let payer = Payer::new(books(&cluster), 5, LONG).await;
    payer.grant(2).await.commit();
    let (committed, released) = (payer.grant(1).await, payer.grant(2).await);
    payer.flush().await;
    payer.deny(1).await;
    cluster.kill(0);
    cluster.take_over(3);
    committed.commit();
    released.release();
    payer.flush().await;
    payer.assert_counts(0, 0).await;
    payer.grant(5).await.commit();
    payer.deny(1).await;
    payer.flush().await;
    payer.assert_counts(5, 0).await;
}

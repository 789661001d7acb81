//! A server that is killed, and comes back with its data or without.

use futures::future::join_all;
use tower_quota::Reservation;
use tower_quota::store::RedisBooks;

use super::{LONG, Load, Payer, SHORT};
use crate::support::servers::Redis;

const AMOUNT: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_a_crash() {
    let mut server = Redis::start_with(&["--appendfsync", "always"]);
    let payer = Payer::new(RedisBooks::builder(server.url()), AMOUNT, SHORT).await;
    let mut load = Load::start(&payer);
    load.until_granted(100).await;
    server.kill();
    load.until_failed(1).await;
    server.restart();
    load.until_granted(100).await;
    assert!(load.check(AMOUNT).await > 0);
}

#[tokio::test]
async fn what_a_server_forgot_is_granted_once_more_and_no_more() {
    let mut server = Redis::start();
    let payer = Payer::new(RedisBooks::builder(server.url()), 10, LONG).await;
    payer.grant(3).await.commit();
    let forgotten = [payer.grant(1).await, payer.grant(1).await, payer.grant(1).await];
    let dropped = payer.grant(1).await;
    payer.flush().await;
    payer.assert_counts(3, 4).await;
    server.kill();
    server.restart_empty();

    let [commit, more, release] = forgotten;
    commit.commit();
    more.commit_units(5);
    release.release();
    drop(dropped);
    payer.flush().await;
    payer.assert_counts(0, 0).await;
    assert_eq!(server.command(&["DBSIZE"]), "0");

    // 7 units were forgotten: the limit is exceeded by these 7.
    let again = join_all((0..10).map(|_| payer.grant(1))).await;
    payer.deny(1).await;
    payer.assert_counts(0, 10).await;
    again.into_iter().for_each(Reservation::commit);
    payer.flush().await;
    payer.assert_counts(10, 0).await;
}

#[tokio::test]
async fn what_a_server_forgot_cannot_be_credited_below_nothing() {
    let mut server = Redis::start();
    let payer = Payer::new(RedisBooks::builder(server.url()), 5, LONG).await;
    payer.grant(4).await.commit();
    payer.flush().await;
    server.kill();
    server.restart_empty();
    payer.quotas.credit(&payer.profile, "remix", 4).await.unwrap();
    payer.assert_counts(0, 0).await;
    payer.grant(5).await.commit();
    payer.deny(1).await;
}

//! A server that stops for a while, forgets its scripts or runs out of memory.

use futures::future::join_all;
use tower_quota::store::{Lease, RedisBooks};

use super::{LONG, Load, Payer, SHORT};
use crate::support::servers::Redis;

const AMOUNT: u64 = 1_000_000;

#[tokio::test]
async fn what_was_settled_while_the_server_stood_still_is_written_later() {
    let server = Redis::start();
    let payer = Payer::new(RedisBooks::builder(server.url()), 20, SHORT).await;
    let open = payer.grant(3).await;
    let (committed, released) = (payer.grant(4).await, payer.grant(5).await);
    server.pause();
    committed.commit();
    released.release();
    // More than it takes to open the circuit.
    join_all((0..8).map(|_| payer.fail())).await;
    payer.fail().await;
    server.resume();
    payer.flush().await;
    payer.assert_counts(4, 3).await;
    open.commit();
    payer.grant(13).await.commit();
    payer.deny(1).await;
    payer.flush().await;
    payer.assert_counts(20, 0).await;
}

#[tokio::test]
async fn a_hold_that_lapsed_in_an_outage_is_charged_above_the_amount() {
    let server = Redis::start();
    let lease = Lease { length: SHORT, ..Lease::default() };
    let payer = Payer::new(RedisBooks::builder(server.url()).lease(lease), 1, SHORT).await;
    let first = payer.grant(1).await;
    server.pause();
    // Longer than the lease, which nobody can renew.
    for _ in 0..2 {
        payer.fail().await;
    }
    server.resume();
    payer.flush().await;
    payer.grant(1).await.commit();
    first.commit();
    payer.flush().await;
    payer.assert_counts(2, 0).await;
    payer.deny(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_under_load_counts_exactly() {
    let server = Redis::start();
    let payer = Payer::new(RedisBooks::builder(server.url()), AMOUNT, SHORT).await;
    let mut load = Load::start(&payer);
    for _ in 0..2 {
        load.until_granted(50).await;
        let before = load.failed();
        server.pause();
        load.until_failed(before + 8).await;
        server.resume();
    }
    load.until_granted(50).await;
    load.check(AMOUNT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_a_server_forgets_its_scripts() {
    let server = Redis::start();
    let payer = Payer::new(RedisBooks::builder(server.url()), AMOUNT, LONG).await;
    let mut load = Load::start(&payer);
    for _ in 0..10 {
        load.until_granted(30).await;
        assert_eq!(server.command(&["SCRIPT", "FLUSH"]), "OK");
    }
    assert_eq!(load.check(AMOUNT).await, 0);
}

#[tokio::test]
async fn a_server_that_is_out_of_memory_fails_requests_and_takes_settlements() {
    let server = Redis::start_with(&["--maxmemory-policy", "noeviction"]);
    let payer = Payer::new(RedisBooks::builder(server.url()), 5, SHORT).await;
    let (committed, released) = (payer.grant(2).await, payer.grant(2).await);
    server.set("maxmemory", "1");
    // Five failures open the circuit, and settlements wait until the server is found again.
    for _ in 0..6 {
        payer.fail().await;
    }
    committed.commit();
    released.release();
    payer.flush().await;
    payer.assert_counts(2, 0).await;
    payer.fail().await;
    server.set("maxmemory", "0");
    payer.flush().await;
    payer.grant(3).await.commit();
    payer.deny(1).await;
    payer.flush().await;
    payer.assert_counts(5, 0).await;
}

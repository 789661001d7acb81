//! Connections that are cut, and a request that arrives late.

use std::time::Duration;

use tower_quota::store::{RedisBooks, RedisBooksBuilder};
use tower_quota::{Limit, ManualClock, Plan, Quotas, Window};

use super::{LONG, Payer, SHORT, time};
use crate::support::noon;
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::Redis;

const SECOND: Duration = Duration::from_secs(1);

/// A payer at an engine behind a proxy, and at one beside it. All clocks are one.
struct Scene {
    server: Redis,
    proxy: Proxy,
    proxied: Payer,
    direct: Payer,
    clock: ManualClock,
}

impl Scene {
    async fn new(amount: u64, timeout: Duration) -> Self {
        let (server, clock) = (Redis::start(), noon());
        let proxy = Proxy::start(server.socket().as_path()).await;
        let by_proxy = RedisBooks::builder(format!("redis://{}", proxy.address()));
        let engine = async |books: RedisBooksBuilder, timeout| {
            let plan = Plan::new("free").feature("remix", [Limit::new(amount, Window::Day)]);
            let engine = Quotas::builder().plan(plan).clock(clock.clone());
            Payer::at(engine, books.clock(clock.clone()), timeout).await
        };
        let proxied = engine(by_proxy, timeout).await;
        let direct = engine(RedisBooks::builder(server.url()), LONG).await;
        // Scripts that are known already need one call.
        let other = engine(RedisBooks::builder(server.url()).prefix("other:"), LONG).await;
        other.grant(1).await.commit();
        other.flush().await;
        other.debit(1).await;
        Self { server, proxy, proxied, direct, clock }
    }

    /// Whether anything of the payer is on record.
    fn has_records(&self) -> bool {
        !self.server.command(&["KEYS", "quota:*"]).is_empty()
    }
}

/// Cuts the connection of each operation once, by this fault.
async fn cut(fault: Fault) {
    let Scene { proxy, proxied, direct, clock, .. } = &Scene::new(5, SECOND).await;
    let is_executed = fault != Fault::CutBeforeRequest;

    let mut cut = proxy.script("EVALSHA", fault);
    proxied.fail().await;
    cut.struck().await;
    direct.assert_counts(0, is_executed.into()).await;
    clock.advance(2 * SECOND);
    proxied.flush().await;
    direct.assert_counts(0, 0).await;

    let (committed, released) = (proxied.grant(2).await, proxied.grant(2).await);
    for reservation in [committed, released] {
        let mut cut = proxy.script("EVALSHA", fault);
        reservation.commit();
        cut.struck().await;
        proxied.flush().await;
    }
    direct.assert_counts(4, 0).await;

    let mut cut = proxy.script("EVALSHA", fault);
    proxied.debit(3).await;
    cut.struck().await;
    direct.assert_counts(7, 0).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_before_a_request_changes_no_count() {
    cut(Fault::CutBeforeRequest).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_before_a_reply_changes_no_count() {
    cut(Fault::CutBeforeReply).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_in_a_reply_changes_no_count() {
    cut(Fault::CutInReply).await;
}

#[tokio::test]
async fn a_reserve_that_arrives_too_late_writes_nothing() {
    let server = Redis::start();
    let proxy = Proxy::start(server.socket().as_path()).await;
    let by_proxy = RedisBooks::builder(format!("redis://{}", proxy.address()));
    let payer = Payer::new(by_proxy, 1, SHORT).await;
    let other = payer.named("other");
    other.grant(1).await.commit();
    payer.flush().await;

    let mut late = proxy.script("EVALSHA", Fault::Hold);
    payer.fail().await;
    late.struck().await;
    let given_up = time(&server);
    while time(&server) <= given_up {}
    late.deliver();
    // Its release goes the same way, and arrives after it.
    payer.flush().await;
    assert_eq!(server.command(&["KEYS", "quota:{7}*"]), "");
    payer.grant(1).await.commit();
    payer.deny(1).await;
}

#[tokio::test]
async fn a_reserve_that_arrives_in_time_though_nobody_waits_is_given_back() {
    let scene = Scene::new(1, SHORT).await;
    let mut late = scene.proxy.script("EVALSHA", Fault::Hold);
    scene.proxied.fail().await;
    late.struck().await;
    late.deliver();
    while !scene.has_records() {
        tokio::task::yield_now().await;
    }
    scene.direct.assert_counts(0, 1).await;
    scene.clock.advance(SECOND);
    scene.proxied.flush().await;
    scene.direct.assert_counts(0, 0).await;
    scene.direct.grant(1).await.commit();
}

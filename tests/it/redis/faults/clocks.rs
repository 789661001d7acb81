//! Engines whose clocks differ from each other, and from that of the server that they share.

use std::time::Duration;

use tower_quota::store::{Lease, RedisBooks};
use tower_quota::{Limit, ManualClock, Plan, Quotas, Timestamp, Window};

use super::{LONG, Payer, time};
use crate::support::servers::Redis;

const MINUTE: Duration = Duration::from_secs(60);
/// Long enough for a window of this hour to be on record to the end of it.
const LEASE: Lease = Lease { length: MINUTE, keep: MINUTE.saturating_mul(120) };

/// Two payers, the second with a clock that is 90 seconds ahead of the first one's, which is in the
/// same hour as the server's.
async fn payers(server: &Redis, limits: [Limit; 2]) -> [Payer; 2] {
    let hour = 60 * 60 * 1_000;
    let start = Timestamp::from_millis(time(server).div_euclid(hour) * hour);
    let payer = async |ahead: Duration| {
        let clock = ManualClock::at(start.saturating_add(10 * MINUTE).saturating_add(ahead).into());
        let plan = Plan::new("free").feature("remix", limits.clone());
        let engine = Quotas::builder().plan(plan).clock(clock);
        let books = RedisBooks::builder(server.url()).lease(LEASE);
        Payer::at(engine, books, LONG).await
    };
    [payer(Duration::ZERO).await, payer(Duration::from_secs(90)).await]
}

/// The scores of a sorted set, without its members: those are any bytes, line feeds too.
const SCORES: &str = "local all, scores = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), {}
    for at = 2, #all, 2 do table.insert(scores, all[at]) end
    return scores";

/// The deadlines of all holds on record, in milliseconds of the server's clock.
fn deadlines(server: &Redis) -> Vec<i64> {
    let keys = server.command(&["KEYS", "quota:{7}h:*"]);
    let of = |key| server.command(&["EVAL", SCORES, "1", key]);
    let scores = |key| of(key).lines().map(|score| score.parse().unwrap()).collect::<Vec<_>>();
    keys.lines().flat_map(scores).collect()
}

#[tokio::test]
async fn a_lease_runs_by_the_servers_clock_whatever_the_engines_say() {
    let server = Redis::start();
    let limits = [Limit::new(5, Window::Hour), Limit::new(9, Window::Lifetime)];
    for payer in payers(&server, limits).await {
        // The next one is not alone, and is put on file.
        let alone = payer.grant(1).await;
        let before = time(&server);
        let reservation = payer.grant(1).await;
        let after = time(&server);
        let found = deadlines(&server);
        assert_eq!(found.len(), 2);
        for deadline in found {
            assert!((before..=after).contains(&(deadline - 60_000)), "{deadline}");
        }
        alone.release();
        reservation.commit();
        payer.flush().await;
    }
}

#[tokio::test]
async fn windows_that_both_clocks_are_in_are_shared_and_others_are_not() {
    let server = Redis::start();
    let limits = [Limit::new(8, Window::Hour), Limit::new(3, Window::Minute)];
    let [behind, ahead] = payers(&server, limits).await;
    let held = behind.grant(3).await;
    behind.deny(1).await;
    // For the other one, that minute is over.
    assert_eq!(ahead.counts().await, [(0, 3), (0, 0)]);
    ahead.grant(3).await.commit();
    ahead.deny(1).await;
    ahead.flush().await;
    assert_eq!(behind.counts().await, [(3, 3), (0, 3)]);
    held.commit();
    behind.flush().await;
    for payer in [&behind, &ahead] {
        assert_eq!(payer.counts().await, [(6, 0), (3, 0)]);
    }
}

#[tokio::test]
async fn the_limit_of_a_shared_window_is_exact() {
    let server = Redis::start();
    let limits = [Limit::new(7, Window::Hour), Limit::new(9, Window::Lifetime)];
    let [behind, ahead] = payers(&server, limits).await;
    for _ in 0..3 {
        behind.grant(1).await.commit();
        ahead.grant(1).await.commit();
    }
    let last = ahead.grant(1).await;
    behind.deny(1).await;
    ahead.deny(1).await;
    last.release();
    ahead.flush().await;
    behind.grant(1).await.commit();
    ahead.deny(1).await;
}

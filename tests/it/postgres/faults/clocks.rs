//! Two processes whose clocks differ share a server, whose clock is a third one.

use std::time::Duration;

use tower_quota::store::{Lease, PostgresBooks};
use tower_quota::{
    Clock, Decision, Limit, ManualClock, Plan, Quotas, SystemClock, Timestamp, Window,
};

use super::{TIMEOUT, prepare};
use crate::support::engine::{Engine, REMIX};
use crate::support::servers::Postgres;

/// The system's clock, and so much more or less.
#[derive(Clone, Copy, Debug)]
struct Off(i64);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.0 * 1_000)
    }
}

/// Longer than the leases of these tests.
const AHEAD: Off = Off(90);
const BEHIND: Off = Off(-90);

async fn engine(url: &str, amount: u64, lease: Lease, clock: Off) -> Engine {
    let books = PostgresBooks::builder(url).lease(lease).timeout(TIMEOUT);
    Engine::new(books.connect().await.unwrap(), TIMEOUT, amount, clock)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_lives_by_the_servers_clock() {
    let url = Postgres::shared().database();
    prepare(&url).await;
    let lease = Lease::default();
    let (one, other) = (engine(&url, 3, lease, AHEAD).await, engine(&url, 3, lease, BEHIND).await);
    let holds = [one.grant(REMIX).await, other.grant(REMIX).await, one.grant(REMIX).await];
    for engine in [&one, &other] {
        engine.deny(REMIX).await;
        assert_eq!(engine.count(REMIX).await, (0, 3));
    }
    let [first, second, third] = holds;
    first.commit();
    second.commit();
    third.release();
    one.flush().await;
    other.flush().await;
    assert_eq!(one.count(REMIX).await, (2, 0));
    other.spend(REMIX).await;
    one.deny(REMIX).await;
}

/// Its lease ends for all at the same moment, whatever they think the time is.
async fn the_lease_of_a_dead_process_ends(dead: Off, living: Off) {
    let url = Postgres::shared().database();
    prepare(&url).await;
    let lease = Lease { length: Duration::from_secs(2), ..Lease::default() };
    let living = engine(&url, 1, lease, living).await;
    // What it is not in a hurry to ask, its connection is there for.
    assert_eq!(living.count(REMIX).await, (0, 0));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let holding =
        runtime.spawn(async move { engine(&url, 1, lease, dead).await.grant(REMIX).await });
    let held = holding.await.unwrap();
    living.deny(REMIX).await;
    runtime.shutdown_background();
    let granted = loop {
        match living.decide(REMIX).await.unwrap() {
            Decision::Granted(reservation) => break reservation,
            Decision::Denied(_) => tokio::task::yield_now().await,
        }
    };
    granted.commit();
    living.flush().await;
    assert_eq!(living.count(REMIX).await, (1, 0));
    living.deny(REMIX).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_for_whoever_is_ahead_and_for_whoever_is_behind() {
    tokio::join!(
        the_lease_of_a_dead_process_ends(AHEAD, BEHIND),
        the_lease_of_a_dead_process_ends(BEHIND, AHEAD)
    );
}

/// Each counts in the window that its own clock shows: the amount is exact in each of them.
#[tokio::test(flavor = "multi_thread")]
async fn windows_are_those_of_whoever_asks() {
    let url = Postgres::shared().database();
    prepare(&url).await;
    // They stand still, so that no minute ends while the test runs.
    let now = SystemClock.now();
    let clocks =
        [0, 90].map(|ahead| ManualClock::at(now.saturating_add(Duration::from_secs(ahead)).into()));
    let payer = crate::support::payer();
    let mut engines = Vec::new();
    for clock in clocks {
        let books = PostgresBooks::builder(&url).timeout(TIMEOUT).connect().await.unwrap();
        let options = tower_quota::store::RemoteOptions::new().timeout(TIMEOUT);
        let plan = Plan::new("free").feature(REMIX, [Limit::new(2, Window::Minute)]);
        let store = tower_quota::store::Remote::new(books, options);
        engines.push(Quotas::builder().plan(plan).clock(clock).store(store).build().unwrap());
    }
    for quotas in &engines {
        for _ in 0..2 {
            let decision = quotas.reserve(&payer, REMIX, 1).await.unwrap();
            crate::support::granted(decision).commit();
        }
        crate::support::denied(quotas.reserve(&payer, REMIX, 1).await.unwrap());
        quotas.flush().await.unwrap();
    }
    for quotas in &engines {
        let usage = quotas.usage(&payer).await.unwrap();
        let status = usage.feature(REMIX).unwrap().statuses().next().unwrap();
        assert_eq!((status.used(), status.held()), (2, 0));
    }
}

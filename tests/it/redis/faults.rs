//! Faults of real servers and of the way there, while engines use them; and exact counts afterwards.

mod clocks;
mod cluster;
mod connection;
mod crash;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tower_quota::store::{RedisBooksBuilder, Remote, RemoteOptions};
use tower_quota::{
    Decision, Denial, Error, Limit, Plan, Profile, Quotas, QuotasBuilder, Reservation, StoreError,
    Window,
};

use crate::support::profile;
use crate::support::servers::Redis;

/// Only reached where something hangs.
const LONG: Duration = Duration::from_secs(30);
/// A time-out that is waited for.
const SHORT: Duration = Duration::from_millis(150);

/// Somebody who pays for `remix`, at an engine with books of its own to ask.
#[derive(Clone)]
struct Payer {
    quotas: Quotas,
    profile: Profile,
}

impl Payer {
    /// A payer of some units in a lifetime.
    async fn new(books: RedisBooksBuilder, amount: u64, timeout: Duration) -> Self {
        let plan = Plan::new("free").feature("remix", [Limit::new(amount, Window::Lifetime)]);
        Self::at(Quotas::builder().plan(plan), books, timeout).await
    }

    async fn at(engine: QuotasBuilder, books: RedisBooksBuilder, timeout: Duration) -> Self {
        let books = books.timeout(timeout).connect().await.unwrap();
        let options = RemoteOptions::new().timeout(timeout).flush_within(LONG);
        let quotas = engine.store(Remote::new(books, options)).build().unwrap();
        Self { quotas, profile: profile("7") }
    }

    fn named(&self, id: &str) -> Self {
        Self { quotas: self.quotas.clone(), profile: profile(id) }
    }

    async fn reserve(&self, units: u64) -> Result<Decision, StoreError> {
        let decision = self.quotas.reserve(&self.profile, "remix", units).await;
        decision.map_err(|error| match error {
            Error::Store(error) => error,
            other => panic!("{other}"),
        })
    }

    async fn grant(&self, units: u64) -> Reservation {
        crate::support::granted(self.reserve(units).await.unwrap())
    }

    async fn deny(&self, units: u64) -> Denial {
        crate::support::denied(self.reserve(units).await.unwrap())
    }

    /// Reserves what cannot be reserved now, for a reason that may pass.
    async fn fail(&self) {
        let error = self.reserve(1).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    }

    async fn debit(&self, units: u64) {
        self.quotas.debit(&self.profile, "remix", units).await.unwrap();
    }

    async fn flush(&self) {
        self.quotas.flush().await.unwrap();
    }

    /// What is used and held of each limit.
    async fn counts(&self) -> Vec<(u64, u64)> {
        let usage = self.quotas.usage(&self.profile).await.unwrap();
        let statuses = usage.feature("remix").unwrap().statuses();
        statuses.map(|status| (status.used(), status.held())).collect()
    }

    #[track_caller]
    fn assert_counts(&self, used: u64, held: u64) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let payer = self.clone();
        async move {
            assert_eq!(payer.counts().await, [(used, held)], "used and held, at {caller}");
        }
    }
}

/// Requests for a unit each, one after the other in each of several tasks. All that is granted is
/// committed. After a failure, a task goes on when the store is found again.
struct Load {
    payer: Payer,
    tasks: JoinSet<()>,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    granted: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
}

impl Load {
    fn start(payer: &Payer) -> Self {
        let (mut tasks, tally) = (JoinSet::new(), Arc::new(Tally::default()));
        for _ in 0..8 {
            tasks.spawn(send(payer.clone(), tally.clone()));
        }
        Self { payer: payer.clone(), tasks, tally }
    }

    /// Waits until so many more are granted.
    async fn until_granted(&mut self, more: u64) {
        let enough = self.tally.granted.load(Ordering::Relaxed) + more;
        self.until(|tally| tally.granted.load(Ordering::Relaxed) >= enough).await;
    }

    /// How many have failed so far.
    fn failed(&self) -> u64 {
        self.tally.failed.load(Ordering::Relaxed)
    }

    /// Waits until so many have failed.
    async fn until_failed(&mut self, enough: u64) {
        self.until(|tally| tally.failed.load(Ordering::Relaxed) >= enough).await;
    }

    async fn until(&mut self, is_so: impl Fn(&Tally) -> bool) {
        while !is_so(&self.tally) {
            if let Some(ended) = self.tasks.try_join_next() {
                ended.unwrap();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends it, compares all that was granted with the counts, and gives how many have failed.
    async fn check(mut self, amount: u64) -> u64 {
        self.tally.is_over.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
        let payer = self.payer;
        payer.flush().await;
        let granted = self.tally.granted.load(Ordering::Relaxed);
        payer.assert_counts(granted, 0).await;
        payer.grant(amount - granted).await.commit();
        payer.deny(1).await;
        self.tally.failed.load(Ordering::Relaxed)
    }
}

async fn send(payer: Payer, tally: Arc<Tally>) {
    while !tally.is_over.load(Ordering::Relaxed) {
        match payer.reserve(1).await {
            Ok(Decision::Granted(reservation)) => {
                reservation.commit();
                tally.granted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Decision::Denied(denial)) => panic!("there is room for more: {denial:?}"),
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                tally.failed.fetch_add(1, Ordering::Relaxed);
                payer.flush().await;
            }
        }
    }
}

/// What the server's clock says, in milliseconds.
fn time(server: &Redis) -> i64 {
    let time = server.command(&["TIME"]);
    let (seconds, micros) = time.split_once('\n').unwrap();
    seconds.parse::<i64>().unwrap() * 1_000 + micros.parse::<i64>().unwrap() / 1_000
}

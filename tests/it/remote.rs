//! Stores whose books are outside of the process: what goes wrong on the way there.

mod answers;
mod breaker;
mod calendars;
mod changes;
mod clocks;
mod leases;
mod refunds;
mod settling;
mod share;
mod shutdown;
mod streams;

use std::error::Error as _;
use std::time::Duration;

use tower_quota::store::{Remote, RemoteOptions};
use tower_quota::{
    Decision, Denial, Error, Limit, ManualClock, Plan, Quotas, Reservation, StoreError, Window,
};

use crate::support::remote_books::{Verb, Wire};
use crate::support::{noon, payer};

/// An engine that grants some units of `remix` a day, with its books at the end of a wire.
struct Scene {
    quotas: Quotas,
    store: Remote<Wire>,
    wire: Wire,
    clock: ManualClock,
}

impl Scene {
    fn new(amount: u64) -> Self {
        Self::with(amount, RemoteOptions::new())
    }

    fn with(amount: u64, options: RemoteOptions) -> Self {
        Self::on(Wire::new(), amount, options)
    }

    fn on(wire: Wire, amount: u64, options: RemoteOptions) -> Self {
        let store = Remote::new(wire.clone(), options);
        let clock = noon();
        let plan = Plan::new("free").feature("remix", [Limit::new(amount, Window::Day)]);
        let builder = Quotas::builder().plan(plan).clock(clock.clone());
        let quotas = builder.store(store.clone()).build().unwrap();
        Self { quotas, store, wire, clock }
    }

    async fn decide(&self, units: u64) -> Result<Decision, StoreError> {
        self.quotas.reserve(&payer(), "remix", units).await.map_err(store_error)
    }

    async fn reserve(&self, units: u64) -> Reservation {
        crate::support::granted(self.decide(units).await.unwrap())
    }

    async fn denied(&self, units: u64) -> Denial {
        crate::support::denied(self.decide(units).await.unwrap())
    }

    async fn failure(&self) -> StoreError {
        self.decide(1).await.unwrap_err()
    }

    async fn flush(&self) {
        self.quotas.flush().await.unwrap();
    }

    /// What is used and held in the books.
    #[track_caller]
    fn assert_books(&self, used: u64, held: u64) {
        assert_eq!(self.wire.used_and_held(), (used, held), "used and held");
    }
}

fn store_error(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        other => panic!("{other}"),
    }
}

/// Why a call failed, in words.
fn reason(error: &StoreError) -> String {
    error.source().unwrap().to_string()
}

/// Lets so much of the paused time pass, and everybody do what is due. Nobody waits for it, and where
/// the time is not paused it panics.
async fn pass(time: Duration) {
    tokio::time::advance(Duration::ZERO).await;
    tokio::time::sleep(time).await;
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_is_committed_or_given_back() {
    let scene = Scene::new(5);
    let (three, two) = (scene.reserve(3).await, scene.reserve(2).await);
    scene.assert_books(0, 5);
    let denial = scene.denied(1).await;
    assert_eq!(denial.retry_after().map(|seconds| seconds > 0), Some(true));
    three.commit();
    two.release();
    scene.flush().await;
    scene.assert_books(3, 0);
    scene.reserve(2).await.commit_units(4);
    scene.flush().await;
    scene.assert_books(7, 0);
}

#[tokio::test(start_paused = true)]
async fn a_denial_leaves_nothing_to_settle() {
    let scene = Scene::new(0);
    scene.denied(1).await;
    scene.flush().await;
    pass(secs(10)).await;
    assert_eq!(scene.wire.calls(Verb::Settle), 0);
}

#[tokio::test(start_paused = true)]
async fn more_than_can_be_counted_is_denied_without_being_asked_for() {
    let scene = Scene::new(tower_quota::MAX_UNITS);
    let denial = scene.denied(u64::MAX).await;
    assert_eq!(denial.retry_after(), None);
    assert_eq!(scene.wire.calls(Verb::Reserve), 0);
    scene.reserve(tower_quota::MAX_UNITS).await.commit();
}

#[tokio::test(start_paused = true)]
async fn the_background_takes_no_time_from_a_grant_or_a_settlement() {
    let scene = Scene::new(5);
    let before = tokio::time::Instant::now();
    scene.reserve(1).await.commit();
    scene.flush().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!((scene.wire.calls(Verb::Settle), scene.wire.calls(Verb::Time)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_store_can_be_swept_by_hand_or_by_itself() {
    let options = RemoteOptions::new().sweep_every(secs(3_600));
    let scene = Scene::with(5_000, options);
    for _ in 0..2_500 {
        std::mem::forget(scene.reserve(1).await);
    }
    // The worker that renews the leases is cut off until all have lapsed.
    scene.wire.cut(crate::support::remote_books::Fault::Hangs);
    pass(secs(120)).await;
    scene.assert_books(0, 0);
    scene.wire.mend();
    pass(secs(5)).await;
    assert_eq!(scene.store.sweep(10).await.unwrap(), 10);
    pass(secs(3_600)).await;
    assert_eq!(scene.store.sweep(10).await.unwrap(), 0);
    // 1,000 at a time, until there is no more; and what the test asked for.
    assert_eq!(scene.wire.calls(Verb::Sweep), 3 + 2);
}

#[test]
fn a_call_outside_of_a_runtime_fails_and_does_not_panic() {
    use futures::FutureExt;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let scene = runtime.block_on(async { Scene::new(5) });
    let error = scene.failure().now_or_never().unwrap();
    assert!(reason(&error).contains("tokio runtime"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_is_a_failure_and_the_work_goes_on() {
    use crate::support::remote_books::Fault;
    let scene = Scene::new(5);
    scene.wire.next(Verb::Reserve, Fault::Panics);
    let error = scene.failure().await;
    assert!(reason(&error).contains("panicked"), "{error:?}");
    scene.wire.next(Verb::Settle, Fault::Panics);
    scene.reserve(1).await.commit();
    scene.flush().await;
    scene.assert_books(1, 0);
}

//! Counters in books outside of the process, and requests to hold units of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_quota::store::{
    Answer, Change, Charge, Counter, HoldId, Lapse, RemoteBooks, RemoteCharge, RemoteCounter,
    RemoteReserve, Reserve, Store, Verdict,
};
use tower_quota::{
    Count, Counts, Limit, LimitKey, Plan, Profile, ProfileId, Quotas, StoreError, Timestamp, Window,
};

/// How far ahead `not_after` lies in these tests.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The counter of `scope`, in the `window` around `now`.
pub(crate) fn counter(scope: impl AsRef<[u8]>, window: Window, now: Timestamp) -> RemoteCounter {
    let limit = limit_key(Limit::new(1, window));
    let scope = ProfileId::new(scope);
    RemoteCounter { scope, tenant: None, limit, window: window.around(now) }
}

/// Asks for `units` of counters, each with the same ceiling.
pub(crate) fn ask(
    sequence: u64,
    counters: &[RemoteCounter],
    ceiling: Option<u64>,
    units: u64,
    now: Timestamp,
) -> RemoteReserve {
    RemoteReserve {
        id: HoldId { nonce: u64::MAX, sequence },
        charges: charges(counters, ceiling),
        units,
        lapse: Lapse::GiveBack,
        not_after: now.saturating_add(SECOND),
        patience: 10 * SECOND,
    }
}

/// Books that are read by whoever asks for nothing.
pub(crate) trait Counted: RemoteBooks {
    async fn counted(&self, counters: &[RemoteCounter]) -> Result<Vec<Count>, StoreError> {
        self.read(&charges::<Vec<_>>(counters, None), 0).await
    }
}

impl<B: RemoteBooks> Counted for B {}

/// Counters to charge, each with the same ceiling.
fn charges<C>(counters: &[RemoteCounter], ceiling: Option<u64>) -> C
where
    C: FromIterator<RemoteCharge>,
{
    let charge =
        |counter: &RemoteCounter| RemoteCharge { counter: counter.clone(), ceiling, refunds: None };
    counters.iter().map(charge).collect()
}

/// The identity of a limit, as an engine tells it to a store.
pub(crate) fn limit_key(limit: Limit) -> Arc<LimitKey> {
    let spy = Spy::default();
    let plan = Plan::new("free").feature("remix", [limit]);
    let quotas = Quotas::builder().plan(plan).store(spy.clone()).build().unwrap();
    drop(quotas.reserve(&Profile::new("spy", "free"), "remix", 1));
    let key = spy.0.lock().unwrap().take();
    key.unwrap()
}

/// Remembers which limit it was asked for.
#[derive(Clone, Debug, Default)]
struct Spy(Arc<Mutex<Option<Arc<LimitKey>>>>);

impl Store for Spy {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        let limit = request.charges.first().map(|charge| charge.counter.limit.clone());
        *self.0.lock().unwrap() = limit;
        Answer::Ready(Ok(Verdict::Denied(Counts::new())))
    }

    fn read(
        &self,
        _charges: &[Charge<'_>],
        _units: u64,
        _now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        Answer::Ready(Ok(Vec::new()))
    }

    fn change(
        &self,
        _counters: &[Counter<'_>],
        _change: Change,
        _now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }
}

//! Books that a test can look into while an engine keeps them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tower_quota::store::{
    Answer, Change, Charge, Counter, HoldId, MemoryStore, Reserve, Store, Verdict,
};
use tower_quota::{
    Count, Limit, LimitKey, ManualClock, Plan, ProfileId, Quotas, Span, StoreError, Timestamp,
};

use super::now;

/// A counter that somebody has asked for.
type Asked = (ProfileId, Arc<LimitKey>, Span);

/// The memory store, shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedBooks {
    books: Arc<MemoryStore>,
    asked: Arc<Mutex<Vec<Asked>>>,
    reserves: Arc<AtomicUsize>,
    /// The id that every request gets, where each is taken for the first one again.
    retried: Option<Arc<OnceLock<HoldId>>>,
}

impl SharedBooks {
    /// Books in which every reservation is the first one again, as of a client that retries.
    pub(crate) fn retrying() -> Self {
        Self { retried: Some(Arc::default()), ..Self::default() }
    }

    /// How often they were asked to reserve.
    pub(crate) fn reserves(&self) -> usize {
        self.reserves.load(Ordering::SeqCst)
    }

    /// An engine that keeps these books, with a plan `free` of one feature `remix`.
    pub(crate) fn remix(
        &self,
        clock: &ManualClock,
        limits: impl IntoIterator<Item = Limit>,
    ) -> Quotas {
        let plan = Plan::new("free").feature("remix", limits);
        let builder = Quotas::builder().plan(plan).clock(clock.clone());
        builder.store(self.clone()).build().unwrap()
    }

    /// All that is written, to be compared: how much the books keep, and every count in them.
    pub(crate) fn written(&self) -> (String, Vec<Count>) {
        let asked = self.asked.lock().unwrap();
        let count = |(scope, limit, window): &Asked| {
            let counter =
                Counter { scope, tenant: None, limit, window: *window, next_end: window.end };
            let charge = Charge { counter, ceiling: None, refunds: None };
            // There are no rolling windows in these tests.
            now(self.books.read(&[charge], 0, Timestamp::MIN)).unwrap()
        };
        let counts = asked.iter().flat_map(count);
        let used = counts.filter(|count| (count.used, count.held) != (0, 0));
        (format!("{:?}", self.books), used.collect())
    }

    fn note<'a>(&self, counters: impl Iterator<Item = &'a Counter<'a>>) {
        let mut asked = self.asked.lock().unwrap();
        for counter in counters {
            let counter = (counter.scope.clone(), counter.limit.clone(), counter.window);
            if !asked.contains(&counter) {
                asked.push(counter);
            }
        }
    }
}

impl Store for SharedBooks {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        self.reserves.fetch_add(1, Ordering::SeqCst);
        self.note(request.charges.iter().map(|charge| &charge.counter));
        let first = self.retried.as_ref();
        let id = first.map_or(request.id, |first| *first.get_or_init(|| request.id));
        self.books.reserve(Reserve { id, ..request })
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        self.books.read(charges, units, now)
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        self.note(counters.iter());
        self.books.change(counters, change, now)
    }
}

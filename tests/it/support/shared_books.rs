//! Books that a test can look into while an engine keeps them.

use std::sync::{Arc, OnceLock};

use tower_quota::store::{Answer, Change, Counter, HoldId, MemoryStore, Reserve, Store, Verdict};
use tower_quota::{Count, Limit, ManualClock, Plan, ProfileId, Quotas, StoreError, Timestamp};

/// The memory store, shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedBooks {
    books: Arc<MemoryStore>,
    /// The id that every request gets, where each is taken for the first one again.
    retried: Option<Arc<OnceLock<HoldId>>>,
}

impl SharedBooks {
    /// Books in which every reservation is the first one again, as of a client that retries.
    pub(crate) fn retrying() -> Self {
        Self { retried: Some(Arc::default()), ..Self::default() }
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

    /// All that is written, to be compared.
    pub(crate) fn written(&self) -> String {
        format!("{:?}", self.books)
    }
}

impl Store for SharedBooks {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        let first = self.retried.as_ref();
        let id = first.map_or(request.id, |first| *first.get_or_init(|| request.id));
        self.books.reserve(Reserve { id, ..request })
    }

    fn read(
        &self,
        scope: &ProfileId,
        counters: &[Counter<'_>],
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        self.books.read(scope, counters)
    }

    fn change(
        &self,
        scope: &ProfileId,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        self.books.change(scope, counters, change, now)
    }
}

//! Who asks books outside of this process while their laws are tested.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, ManualClock, Timestamp};
use crate::contract::Subject;
use crate::count::Spent;
use crate::limits::{Allowance, Limit, LimitKey, ProfileId, Span, Window};
use crate::store::{
    Held, HoldId, Lapse, Lease, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter,
    RemoteOpening, RemoteReserve, RemoteSettlement, RemoteVerdict, Renewal,
};

pub(super) const MILLI: Duration = Duration::from_millis(1);
/// How long a law waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Windows that stay open while a law is tested.
const LONG: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// A handle of the books, and their clock.
#[derive(Debug)]
pub(super) struct Clerk<B> {
    pub(super) books: Arc<B>,
    pub(super) clock: ManualClock,
    limit: Arc<LimitKey>,
    /// The window of all counters.
    window: Span,
}

/// Derived, it would ask that books can be cloned.
impl<B> Clone for Clerk<B> {
    fn clone(&self) -> Self {
        let (limit, clock) = (self.limit.clone(), self.clock.clone());
        Self { books: self.books.clone(), clock, limit, window: self.window }
    }
}

/// A hold that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Slip {
    pub(super) id: HoldId,
    pub(super) charges: Arc<[RemoteCharge]>,
}

impl Slip {
    /// A hold that the books have never heard of.
    pub(super) fn unknown(counter: &RemoteCounter) -> Self {
        Self { id: HoldId::next(), charges: charges([counter], None) }
    }

    pub(super) fn settlement(&self, spent: Spent) -> RemoteSettlement {
        RemoteSettlement { id: self.id, counters: self.charges.clone(), spent, after: None }
    }

    pub(super) fn renewal(&self) -> Renewal {
        Renewal { id: self.id, counters: self.charges.clone() }
    }
}

/// Counters to charge, each with the same ceiling.
pub(super) fn charges<'a>(
    counters: impl IntoIterator<Item = &'a RemoteCounter>,
    ceiling: Option<u64>,
) -> Arc<[RemoteCharge]> {
    let charge =
        |counter: &RemoteCounter| RemoteCharge { counter: counter.clone(), ceiling, refunds: None };
    counters.into_iter().map(charge).collect()
}

pub(super) fn limit_key(limit: &Limit) -> Arc<LimitKey> {
    let limits = slice::from_ref(limit);
    let allowance = Allowance::new("remix", limits).expect("the law's limit is bad");
    allowance.limits().first().expect("there is a limit").key.clone()
}

impl<B: RemoteBooks> Clerk<B> {
    pub(super) async fn new<S: Subject<Books = B>>(subject: &S) -> Self {
        let (books, clock) = (Arc::new(subject.open().await), subject.clock().clone());
        let start = clock.now();
        let window = Span { start, end: start.saturating_add(LONG) };
        Self {
            books,
            clock,
            limit: limit_key(&Limit::new(1, Window::Lifetime).named("limit")),
            window,
        }
    }

    /// The same clerk, at another handle of the books.
    pub(super) async fn at_another_handle<S: Subject<Books = B>>(&self, subject: &S) -> Self {
        let books = Arc::new(subject.open().await);
        Self { books, ..Self::clone(self) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn lease(&self) -> Lease {
        self.books.lease()
    }

    pub(super) fn counter(&self, scope: impl AsRef<[u8]>) -> RemoteCounter {
        self.counter_in(scope, self.window)
    }

    pub(super) fn counter_in(&self, scope: impl AsRef<[u8]>, window: Span) -> RemoteCounter {
        let (scope, limit) = (ProfileId::new(scope), self.limit.clone());
        RemoteCounter { scope, tenant: None, limit, window }
    }

    pub(super) fn request(&self, charges: Arc<[RemoteCharge]>, units: u64) -> RemoteReserve {
        RemoteReserve {
            id: HoldId::next(),
            charges,
            units,
            lapse: Lapse::GiveBack,
            not_after: self.now().saturating_add(PATIENCE),
            patience: PATIENCE,
        }
    }

    pub(super) async fn reserve(&self, request: &RemoteReserve) -> RemoteVerdict {
        self.books.reserve(request).await.expect("the books failed to reserve")
    }

    /// Whether units of one counter are granted below a ceiling.
    pub(super) async fn try_hold(
        &self,
        counter: &RemoteCounter,
        units: u64,
        ceiling: u64,
    ) -> Option<Slip> {
        let request = self.request(charges([counter], Some(ceiling)), units);
        match self.reserve(&request).await.held {
            Held::Granted(_) => Some(Slip { id: request.id, charges: request.charges }),
            Held::Denied(_) => None,
            Held::Stale => panic!("a reserve that came in time is stale"),
        }
    }

    /// Holds units of one counter, without a ceiling.
    pub(super) async fn hold(&self, counter: &RemoteCounter, units: u64, lapse: Lapse) -> Slip {
        self.hold_all(&[counter], units, lapse).await
    }

    /// Holds units of several counters, without a ceiling.
    pub(super) async fn hold_all(
        &self,
        counters: &[&RemoteCounter],
        units: u64,
        lapse: Lapse,
    ) -> Slip {
        let charges = charges(counters.iter().copied(), None);
        let request = RemoteReserve { lapse, ..self.request(charges, units) };
        let held = self.reserve(&request).await.held;
        assert!(matches!(held, Held::Granted(_)), "nothing bounds it, and it was {held:?}");
        Slip { id: request.id, charges: request.charges }
    }

    /// Settles what may be settled by now.
    pub(super) async fn settle(&self, batch: &[RemoteSettlement]) {
        let early = self.books.settle(batch).await.expect("the books failed to settle");
        assert_eq!(early, [], "settlements that came too early");
    }

    pub(super) async fn renew(&self, slip: &Slip) {
        self.renew_all(slice::from_ref(slip)).await;
    }

    pub(super) async fn renew_all(&self, slips: &[Slip]) {
        let batch: Vec<Renewal> = slips.iter().map(Slip::renewal).collect();
        self.books.renew(&batch).await.expect("the books failed to renew");
    }

    pub(super) async fn open(&self, counter: &RemoteCounter, after: Timestamp) -> Span {
        let opening = RemoteOpening { counter: counter.clone(), after };
        self.books.open(&opening).await.expect("the books failed to open a window")
    }

    pub(super) async fn last(&self, counters: &[RemoteCounter]) -> Vec<Option<Span>> {
        self.books.last(counters).await.expect("the books failed to read windows")
    }

    pub(super) async fn change(&self, change: &RemoteChange) {
        self.books.change(change).await.expect("the books failed to change");
    }

    pub(super) async fn sweep(&self, at_most: u32) -> u32 {
        self.books.sweep(at_most).await.expect("the books failed to sweep")
    }

    /// What is used and held of each counter.
    pub(super) async fn counts(&self, counters: &[RemoteCounter]) -> Vec<(u64, u64)> {
        let counts =
            self.books.read(&charges(counters, None), 0).await.expect("the books failed to read");
        let windows: Vec<Span> = counts.iter().map(|count| count.window).collect();
        let asked: Vec<Span> = counters.iter().map(|counter| counter.window).collect();
        assert_eq!(windows, asked, "the windows of the counters that were read");
        counts.iter().map(|count| (count.used, count.held)).collect()
    }

    /// What is used and held of a counter.
    pub(super) async fn count(&self, counter: &RemoteCounter) -> (u64, u64) {
        let counts = self.counts(slice::from_ref(counter)).await;
        *counts.first().expect("one counter was read")
    }

    /// Lets the lease of everything that is held now end.
    pub(super) fn outlast_the_lease(&self) {
        self.clock.advance(self.lease().length);
    }
}

//! A share of each limit, served by this process alone while the books are away.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::sleep;

use super::backoff::pause;
use super::link::Link;
use crate::clock::Timestamp;
use crate::count::Spent;
use crate::store::Store;
use crate::store::answer::Answer;
use crate::store::books::{RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteReserve};
use crate::store::hold::{Hold, HoldId, Settle, random};
use crate::store::memory::MemoryStore;
use crate::store::request::{Change, Charge, Counter, Reserve, Verdict};

/// Books of this process, in which each limit is one of so many parts of what it is.
#[derive(Debug)]
pub(super) struct LocalShare {
    parts: NonZeroU32,
    books: MemoryStore,
    owed: Arc<Owed>,
}

/// What was spent of the share, and is not in the books outside yet.
#[derive(Debug)]
struct Owed {
    charges: Mutex<HashMap<RemoteCounter, u64>>,
    /// How many counters something is owed to, the one included that is being paid.
    count: watch::Sender<usize>,
}

impl LocalShare {
    pub(super) fn new(parts: NonZeroU32) -> Self {
        let owed = Owed { charges: Mutex::default(), count: watch::Sender::new(0) };
        Self { parts, books: MemoryStore::new(), owed: Arc::new(owed) }
    }

    /// Holds the units of the share; none if it has no room for them, which is not to say that the
    /// limit has none.
    pub(super) fn reserve(&self, request: &RemoteReserve, now: Timestamp) -> Option<Verdict> {
        let scope = &request.charges.first()?.counter.scope;
        let charges: Vec<_> = request.charges.iter().map(|charge| self.part(charge)).collect();
        let (id, units) = (request.id, request.units);
        let reserve = Reserve { id, scope, charges: &charges, units, now };
        let Answer::Ready(Ok(Verdict::Granted(hold, counts))) = self.books.reserve(reserve) else {
            return None;
        };
        let settle = ShareHold {
            hold: Mutex::new(Some(hold)),
            charges: request.charges.clone(),
            units,
            owed: self.owed.clone(),
        };
        Some(Verdict::Granted(Hold::new(id, Arc::new(settle)), counts))
    }

    fn part<'a>(&self, charge: &'a RemoteCharge) -> Charge<'a> {
        let RemoteCounter { limit, window, .. } = &charge.counter;
        let parts = u64::from(self.parts.get());
        Charge {
            counter: Counter { limit, window: *window },
            ceiling: charge.ceiling.and_then(|amount| amount.checked_div(parts)),
        }
    }

    /// What is owed, if anything.
    pub(super) fn owing(&self) -> Option<Owing> {
        let counters = *self.owed.count.borrow();
        (counters > 0).then_some(Owing(counters))
    }

    /// Resolves when nothing is owed.
    pub(super) async fn is_merged(&self) {
        // It can only fail without a sender, which is here.
        let _ = self.owed.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Charges what is owed to the books outside, once they are back, as long as it is polled.
    pub(super) async fn merge<B: RemoteBooks>(&self, link: &Link<B>) {
        let nonce = random();
        let mut count = self.owed.count.subscribe();
        for sequence in 1.. {
            // It can only fail without a sender, which is here.
            let _ = count.wait_for(|count| *count > 0).await;
            let Some((counter, units)) = self.owed.next() else { continue };
            let counters = vec![counter];
            pay(link, &RemoteChange { nonce, sequence, counters, change: Change::Debit(units) })
                .await;
            self.owed.paid();
        }
        future::pending::<()>().await;
    }
}

/// Sends a charge until it is known to be written. What is sent again is the same: the same number,
/// the same units.
async fn pay<B: RemoteBooks>(link: &Link<B>, charge: &RemoteChange) {
    for attempt in 1.. {
        match link.change(charge).await {
            Ok(()) => return,
            // Its window is forgotten, and so is all that it could have been counted for.
            Err(error) if error.is_clock_skew() => return,
            Err(_) => sleep(pause(attempt)).await,
        }
    }
}

impl Owed {
    fn add(&self, charges: &[RemoteCharge], units: u64) {
        if units == 0 {
            return;
        }
        let mut owed = self.charges();
        let before = owed.len();
        for charge in charges {
            let sum = owed.entry(charge.counter.clone()).or_default();
            *sum = sum.saturating_add(units);
        }
        let new = owed.len().saturating_sub(before);
        self.count.send_modify(|count| *count = count.saturating_add(new));
    }

    /// Takes what is owed to one counter. It counts until it is [paid](Self::paid).
    fn next(&self) -> Option<(RemoteCounter, u64)> {
        let mut owed = self.charges();
        let counter = owed.keys().next()?.clone();
        owed.remove_entry(&counter)
    }

    fn paid(&self) {
        self.count.send_modify(|count| *count = count.saturating_sub(1));
    }

    fn charges(&self) -> MutexGuard<'_, HashMap<RemoteCounter, u64>> {
        self.charges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hold of the share: what is spent of it is owed.
struct ShareHold {
    /// Taken when it is settled.
    hold: Mutex<Option<Hold>>,
    charges: Arc<[RemoteCharge]>,
    units: u64,
    owed: Arc<Owed>,
}

impl Settle for ShareHold {
    fn settle(&self, _id: HoldId, spent: Spent) {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(hold) = hold {
            hold.settle(spent);
            self.owed.add(&self.charges, spent.units(self.units));
        }
    }
}

impl fmt::Debug for ShareHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareHold").field("units", &self.units).finish_non_exhaustive()
    }
}

/// Charges of the local share are not in the books yet.
#[derive(Debug)]
pub(super) struct Owing(usize);

impl fmt::Display for Owing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the local share owes charges to {} counters", self.0)
    }
}

impl StdError for Owing {}

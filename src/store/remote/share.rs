//! A share of each limit, served by this process alone while the books are away.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use super::backlog::Backlog;
use super::beats::Beats;
use super::desk::Desk;
use super::link::Link;
use super::owed::{Debt, Owed};
use crate::clock::Timestamp;
use crate::count::Spent;
use crate::store::Store;
use crate::store::answer::Answer;
use crate::store::books::{RemoteBooks, RemoteCharge, RemoteCounter, RemoteReserve};
use crate::store::hold::{Hold, HoldId, Settle};
use crate::store::memory::MemoryStore;
use crate::store::request::{Charge, Counter, Reserve, Verdict};

/// Books of this process, in which each limit is one of so many parts of what it is.
#[derive(Debug)]
pub(super) struct LocalShare {
    parts: NonZeroU32,
    /// To so many counters something may be owed.
    bound: usize,
    books: MemoryStore,
    owed: Arc<Owed>,
}

impl LocalShare {
    pub(super) fn new(parts: NonZeroU32, bound: usize) -> Self {
        Self { parts, bound, books: MemoryStore::new(), owed: Arc::default() }
    }

    /// Holds the units of the share; none if it has no room for them, which is not to say that the
    /// limit has none.
    pub(super) fn reserve(
        &self,
        desk: &Arc<Desk>,
        request: &RemoteReserve,
        now: Timestamp,
    ) -> Option<Verdict> {
        if self.owed.count() >= self.bound {
            return None;
        }
        let charges: Vec<_> = request.charges.iter().map(|charge| self.part(charge)).collect();
        let (id, units) = (request.id, request.units);
        let reserve = Reserve { id, charges: &charges, units, now };
        let Answer::Ready(Ok(Verdict::Granted(hold, counts))) = self.books.reserve(reserve) else {
            return None;
        };
        let settle = ShareHold {
            hold: Mutex::new(Some(hold)),
            charges: request.charges.clone(),
            units,
            owed: self.owed.clone(),
            desk: desk.clone(),
        };
        Some(Verdict::Granted(Hold::new(id, Arc::new(settle)), counts))
    }

    fn part<'a>(&self, charge: &'a RemoteCharge) -> Charge<'a> {
        let RemoteCounter { scope, tenant, limit, window } = &charge.counter;
        let parts = u64::from(self.parts.get());
        Charge {
            counter: Counter { scope, tenant: tenant.as_ref(), limit, window: *window },
            ceiling: charge.ceiling.and_then(|amount| amount.checked_div(parts)),
        }
    }

    /// What is owed, if anything.
    pub(super) fn debt(&self) -> Option<Debt> {
        self.owed.debt()
    }

    /// Resolves when nothing is owed.
    pub(super) async fn is_merged(&self) {
        self.owed.is_paid().await;
    }

    /// Charges what is owed to the books outside, as long as it is polled.
    pub(super) async fn merge<B: RemoteBooks>(
        &self,
        link: &Link<B>,
        beats: &Beats,
        backlog: &Backlog,
    ) {
        self.owed.pay(link, beats, backlog).await;
    }
}

/// A hold of the share: what is spent of it is owed.
struct ShareHold {
    /// Taken when it is settled.
    hold: Mutex<Option<Hold>>,
    charges: Arc<[RemoteCharge]>,
    units: u64,
    owed: Arc<Owed>,
    /// Kept, so that the background waits for what will be owed.
    desk: Arc<Desk>,
}

impl Settle for ShareHold {
    fn settle(&self, _id: HoldId, spent: Spent) {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(hold) = hold else { return };
        hold.settle(spent);
        let owes = |charge: &RemoteCharge| charge.spent(spent).units(charge.units(self.units)) > 0;
        match self.charges.iter().any(owes) {
            false => {}
            true if self.desk.backlog.has_ended() => self.desk.backlog.lose_one(),
            true => self.owed.add(&self.charges, self.units, spent),
        }
    }
}

impl fmt::Debug for ShareHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareHold").field("units", &self.units).finish_non_exhaustive()
    }
}

//! A share of each limit, served by this process alone while the books are away.

use std::collections::{HashMap, VecDeque};
use std::error::Error as StdError;
use std::fmt;
use std::mem;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::sleep;

use super::backoff::pause;
use super::desk::Desk;
use super::link::Link;
use crate::clock::Timestamp;
use crate::count::Spent;
use crate::store::Store;
use crate::store::answer::Answer;
use crate::store::books::{RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteReserve};
use crate::store::hold::{Hold, HoldId, Settle, random};
use crate::store::memory::MemoryStore;
use crate::store::request::{Change, Charge, Counter, Reserve, Verdict};

/// How many charges are sent at a time.
const PIPELINE: usize = 16;

/// Books of this process, in which each limit is one of so many parts of what it is.
#[derive(Debug)]
pub(super) struct LocalShare {
    parts: NonZeroU32,
    /// To so many counters something may be owed.
    bound: usize,
    books: MemoryStore,
    owed: Arc<Owed>,
}

/// What was spent of the share, and is not in the books outside yet.
#[derive(Debug)]
struct Owed {
    charges: Mutex<HashMap<RemoteCounter, u64>>,
    /// How many charges are owed, those included that are being paid.
    count: watch::Sender<usize>,
}

impl LocalShare {
    pub(super) fn new(parts: NonZeroU32, bound: usize) -> Self {
        let owed = Owed { charges: Mutex::default(), count: watch::Sender::new(0) };
        Self { parts, bound, books: MemoryStore::new(), owed: Arc::new(owed) }
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
            desk: desk.clone(),
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
        let charges = self.owed.count();
        (charges > 0).then_some(Owing(charges))
    }

    /// Resolves when nothing is owed.
    pub(super) async fn is_merged(&self) {
        self.owed.counts(|count| count == 0).await;
    }

    /// Charges what is owed to the books outside, once they are back, as long as it is polled.
    ///
    /// A charge is sent until it is known to be written, always with the same number and the same
    /// units. Those that fail go to the end of the queue, so that none holds up the others.
    pub(super) async fn merge<B: RemoteBooks>(&self, link: &Link<B>) {
        let mut waiting: VecDeque<RemoteChange> = VecDeque::new();
        let mut failures = 0;
        loop {
            self.owed.counts(|count| count > 0).await;
            waiting.extend(self.owed.take());
            let under_way: Vec<_> = waiting.drain(..PIPELINE.min(waiting.len())).collect();
            let paid = join_all(under_way.iter().map(|charge| pay(link, charge))).await;
            let unpaid: Vec<_> =
                under_way.into_iter().zip(&paid).filter(|(_, paid)| !**paid).collect();
            self.owed.settle(paid.len().saturating_sub(unpaid.len()));
            if unpaid.is_empty() {
                failures = 0;
                continue;
            }
            waiting.extend(unpaid.into_iter().map(|(charge, _)| charge));
            failures = u32::saturating_add(failures, 1);
            sleep(pause(failures)).await;
        }
    }
}

/// Sends a charge. Whether it is done with.
async fn pay<B: RemoteBooks>(link: &Link<B>, charge: &RemoteChange) -> bool {
    match link.change(charge).await {
        Ok(()) => true,
        // Its window is forgotten, and so is all that it could have been counted for.
        Err(error) => error.is_clock_skew(),
    }
}

impl Owed {
    fn add(&self, charges: &[RemoteCharge], units: u64) {
        let mut owed = self.charges();
        let before = owed.len();
        for charge in charges {
            let sum = owed.entry(charge.counter.clone()).or_default();
            *sum = sum.saturating_add(units);
        }
        let new = owed.len().saturating_sub(before);
        drop(owed);
        self.count.send_modify(|count| *count = count.saturating_add(new));
    }

    /// Takes what is owed, as charges that stay what they are. They count until they are
    /// [settled](Self::settle).
    fn take(&self) -> impl Iterator<Item = RemoteChange> {
        let charges = mem::take(&mut *self.charges());
        charges.into_iter().map(|(counter, units)| RemoteChange {
            nonce: random(),
            sequence: 1,
            counters: vec![counter],
            change: Change::Debit(units),
        })
    }

    fn settle(&self, charges: usize) {
        self.count.send_modify(|count| *count = count.saturating_sub(charges));
    }

    fn count(&self) -> usize {
        *self.count.borrow()
    }

    async fn counts(&self, is_so: impl Fn(usize) -> bool) {
        // It can only fail without a sender, which is here.
        let _ = self.count.subscribe().wait_for(|count| is_so(*count)).await;
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
    /// Kept, so that the background waits for what will be owed.
    desk: Arc<Desk>,
}

impl Settle for ShareHold {
    fn settle(&self, _id: HoldId, spent: Spent) {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(hold) = hold else { return };
        hold.settle(spent);
        match spent.units(self.units) {
            0 => {}
            _ if self.desk.backlog.has_ended() => self.desk.backlog.lose_one(),
            units => self.owed.add(&self.charges, units),
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
        write!(f, "the local share owes {} charges", self.0)
    }
}

impl StdError for Owing {}

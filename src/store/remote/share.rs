//! A share of each limit, served by this process alone while the books are away.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use super::backlog::Backlog;
use super::beats::Beats;
use super::desk::Desk;
use super::link::Link;
use super::owed::{Debt, Owed};
use super::refund;
use super::windows::Unknown;
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
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
    books: Arc<MemoryStore>,
    owed: Arc<Owed>,
}

impl LocalShare {
    pub(super) fn new(parts: NonZeroU32, bound: usize) -> Self {
        Self { parts, bound, books: Arc::default(), owed: Arc::default() }
    }

    /// Holds the units of the share; none if it has no room for them, which is not to say that the
    /// limit has none.
    pub(super) fn reserve(
        &self,
        desk: &Arc<Desk>,
        request: &RemoteReserve,
        unknown: &[Unknown],
        now: Timestamp,
    ) -> Option<Verdict> {
        if self.owed.count() >= self.bound {
            return None;
        }
        let (id, units) = (request.id, request.units);
        let part = Part { books: self.books.clone(), parts: self.parts, now };
        let charges = in_known_windows(&request.charges, unknown);
        let (hold, counts) = part.hold(id, &charges, unknown, units)?;
        let settle = ShareHold {
            hold: Mutex::new(Some(hold)),
            part,
            charges: counted_in(charges, &counts),
            units,
            owed: self.owed.clone(),
            desk: desk.clone(),
        };
        Some(Verdict::Granted(Hold::new(id, Arc::new(settle)), counts))
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

/// The charges, of which only those follow the profile's calendar whose windows the books have not told.
fn in_known_windows(charges: &[RemoteCharge], unknown: &[Unknown]) -> Vec<RemoteCharge> {
    let mut charges = charges.to_vec();
    for (index, charge) in charges.iter_mut().enumerate() {
        let limit = &mut charge.counter.limit;
        if limit.longest_window().is_some() && !unknown.iter().any(|it| it.index == index) {
            *limit = Arc::new(limit.of_named_windows());
        }
    }
    charges
}

/// The charges as the share has counted them: it, too, finishes a window before it begins another.
fn counted_in(mut charges: Vec<RemoteCharge>, counts: &[Count]) -> Arc<[RemoteCharge]> {
    for (charge, count) in charges.iter_mut().zip(counts) {
        if charge.counter.limit.longest_window().is_some() {
            charge.counter.window = count.window;
        }
    }
    charges.into()
}

/// What a hold of the share is taken from.
struct Part {
    books: Arc<MemoryStore>,
    parts: NonZeroU32,
    /// When the hold was asked for.
    now: Timestamp,
}

impl Part {
    fn hold(
        &self,
        id: HoldId,
        charges: &[RemoteCharge],
        unknown: &[Unknown],
        units: u64,
    ) -> Option<(Hold, Counts)> {
        let next_end = |index| unknown.iter().find(|it| it.index == index).map(Unknown::next_end);
        let charges = charges.iter().enumerate();
        let charges: Vec<_> =
            charges.map(|(index, charge)| self.of(charge, next_end(index))).collect();
        let reserve = Reserve { id, charges: &charges, units, now: self.now };
        match self.books.reserve(reserve) {
            Answer::Ready(Ok(Verdict::Granted(hold, counts))) => Some((hold, counts)),
            _ => None,
        }
    }

    fn of<'a>(&self, charge: &'a RemoteCharge, next_end: Option<Timestamp>) -> Charge<'a> {
        let RemoteCounter { scope, tenant, limit, window } = &charge.counter;
        let parts = u64::from(self.parts.get());
        Charge {
            counter: Counter {
                scope,
                tenant: tenant.as_ref(),
                limit,
                window: *window,
                next_end: next_end.unwrap_or(window.end),
            },
            ceiling: charge.ceiling.and_then(|amount| amount.checked_div(parts)),
            // Decided here, for what is charged is owed.
            refunds: None,
        }
    }

    /// Whether a part of each cap has room for a refund, which is counted then.
    fn refunds(&self, id: HoldId, charges: &[RemoteCharge], units: u64) -> bool {
        let refund = self.hold(refund::name(id), &refund::caps(charges), &[], units);
        refund.map(|(refund, _)| refund.settle(Spent::Held)).is_some()
    }
}

/// A hold of the share: what is spent of it is owed.
struct ShareHold {
    /// Taken when it is settled.
    hold: Mutex<Option<Hold>>,
    part: Part,
    charges: Arc<[RemoteCharge]>,
    units: u64,
    owed: Arc<Owed>,
    /// Kept, so that the background waits for what will be owed.
    desk: Arc<Desk>,
}

impl Settle for ShareHold {
    fn settle(&self, id: HoldId, spent: Spent) {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(hold) = hold else { return };
        let refunds = || self.part.refunds(id, &self.charges, self.units);
        let spent = spent.decided(spent == Spent::Refund && refunds());
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

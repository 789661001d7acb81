//! The parts that the books of a process lie in, each under a lock of its own.

use std::fmt;
use std::hash::BuildHasher;
use std::mem;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::counters::Place;
use super::hold::{HoldId, Settle};
use super::ledger::{Ledger, Taken};
use super::request::{Change, Charge, Counter, Reserve};
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;
use crate::limits::ProfileId;

/// How many there are.
const STRIPES: usize = 256;

/// All of them. Which one keeps the counts of a scope is by the hash of its id.
pub(super) struct Stripes {
    stripes: Box<[Arc<Stripe>; STRIPES]>,
    hasher: RandomState,
}

impl Default for Stripes {
    fn default() -> Self {
        let hasher = RandomState::default();
        let stripe = |_| Arc::new(Stripe(Mutex::new(Ledger::new(hasher.clone()))));
        Self { stripes: Box::new(std::array::from_fn(stripe)), hasher: hasher.clone() }
    }
}

impl Stripes {
    pub(super) fn all(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes.iter().map(|stripe| &**stripe)
    }

    /// Where the counts of a scope are.
    pub(super) fn seat(&self, scope: &ProfileId) -> Seat {
        let hash = self.hasher.hash_one(scope);
        let [stripe, ..] = hash.to_le_bytes().map(usize::from);
        Seat { hash, stripe }
    }

    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    pub(super) fn stripe(&self, seat: Seat) -> &Arc<Stripe> {
        &self.stripes[seat.stripe]
    }

    /// Locks what keeps the counts of these scopes.
    pub(super) fn lock<'a>(&self, scopes: impl Iterator<Item = &'a ProfileId>) -> Locked<'_> {
        let mut seats: SmallVec<[Seat; 4]> = SmallVec::new();
        // Everybody locks them in this order.
        let mut stripes: SmallVec<[Seat; 4]> = SmallVec::new();
        let mut last: Option<&ProfileId> = None;
        for scope in scopes {
            // Limits of one scope mostly follow each other.
            let known = seats.last().filter(|_| last.is_some_and(|last| ptr::eq(last, scope)));
            let seat = known.copied().unwrap_or_else(|| self.seat(scope));
            seats.push(seat);
            last = Some(scope);
            if let Err(place) = stripes.binary_search_by_key(&seat.stripe, |it| it.stripe) {
                stripes.insert(place, seat);
            }
        }
        let mut parts = SmallVec::new();
        for seat in stripes {
            let stripe = self.stripe(seat);
            let (index, ledger) = (seat.stripe, stripe.ledger());
            parts.push(Part { index, stripe, ledger, taken: Taken::default() });
        }
        Locked { seats, parts }
    }
}

/// Padded, so that neighbouring locks do not share a cache line.
#[repr(align(128))]
pub(super) struct Stripe(Mutex<Ledger>);

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe").finish_non_exhaustive()
    }
}

impl Stripe {
    /// The books. They stay usable if a thread panics in between: no change to them is left half
    /// done, because none can panic.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settle for Stripe {
    fn settle(&self, id: HoldId, spent: Spent) {
        self.ledger().settle(id, spent);
    }
}

/// A hold of counters in several stripes, which has an entry in each.
#[derive(Debug)]
struct Several(SmallVec<[Arc<Stripe>; 2]>);

impl Several {
    /// Decides about all of a hold at once, and so has all locks, in the order in which everybody
    /// takes them.
    fn refund(&self, id: HoldId) {
        let mut ledgers: SmallVec<[_; 4]> = self.0.iter().map(|stripe| stripe.ledger()).collect();
        let refunds = ledgers.iter().all(|ledger| ledger.can_refund(id));
        let spent = if refunds { Spent::Refund } else { Spent::Held };
        for ledger in &mut ledgers {
            ledger.settle(id, spent);
        }
    }
}

impl Settle for Several {
    fn settle(&self, id: HoldId, spent: Spent) {
        if spent == Spent::Refund {
            return self.refund(id);
        }
        for stripe in &self.0 {
            stripe.settle(id, spent);
        }
    }
}

/// Where the counts of a scope are.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub(super) hash: u64,
    stripe: usize,
}

/// All that a call works on that concerns several scopes, locked.
pub(super) struct Locked<'a> {
    /// Of each counter of the call.
    seats: SmallVec<[Seat; 4]>,
    parts: SmallVec<[Part<'a>; 4]>,
}

/// A stripe that is locked.
struct Part<'a> {
    index: usize,
    stripe: &'a Arc<Stripe>,
    ledger: MutexGuard<'a, Ledger>,
    taken: Taken,
}

impl<'a> Locked<'a> {
    /// The part that keeps the counts of a scope.
    fn part<'p>(parts: &'p mut [Part<'a>], seat: Seat) -> Option<&'p mut Part<'a>> {
        parts.iter_mut().find(|part| part.index == seat.stripe)
    }

    pub(super) fn read(
        &mut self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Result<Vec<Count>, StoreError> {
        let mut counts = Vec::with_capacity(charges.len());
        for (seat, charge) in self.seats.iter().zip(charges) {
            let Some(part) = Self::part(&mut self.parts, *seat) else { continue };
            let (place, mut count) = part.ledger.find(seat.hash, &charge.counter, now)?;
            part.ledger.look_ahead(charge, place, &mut count, units);
            counts.push(count);
        }
        Ok(counts)
    }

    /// Whether the units are held. The counts are pushed to `counts`.
    pub(super) fn reserve(
        &mut self,
        request: &Reserve<'_>,
        counts: &mut Counts,
    ) -> Result<bool, StoreError> {
        let mut places: SmallVec<[Place; 4]> = SmallVec::new();
        let mut admitted = true;
        for (seat, charge) in self.seats.iter().zip(request.charges) {
            let Some(part) = Self::part(&mut self.parts, *seat) else { continue };
            let (place, count) = part.ledger.find(seat.hash, &charge.counter, request.now)?;
            admitted &= charge.admits(&count, request.units);
            places.push(place);
            counts.push(count);
        }
        if self.parts.iter().any(|part| part.ledger.has(request.id)) {
            return Ok(true);
        }
        let each = self.seats.iter().zip(request.charges).zip(&places).zip(counts);
        for (((seat, charge), place), count) in each {
            let Some(part) = Self::part(&mut self.parts, *seat) else { continue };
            if admitted {
                part.ledger.take(request, charge, *place, count, &mut part.taken);
            } else {
                part.ledger.look_ahead(charge, *place, count, request.units);
            }
        }
        if admitted {
            for part in &mut self.parts {
                part.ledger.enter(request, mem::take(&mut part.taken));
            }
        }
        Ok(admitted)
    }

    pub(super) fn change(
        &mut self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut found: SmallVec<[(Place, Count); 4]> = SmallVec::new();
        for (seat, counter) in self.seats.iter().zip(counters) {
            if let Some(part) = Self::part(&mut self.parts, *seat) {
                found.push(part.ledger.find(seat.hash, counter, now)?);
            }
        }
        for ((seat, counter), found) in self.seats.iter().zip(counters).zip(&found) {
            if let Some(part) = Self::part(&mut self.parts, *seat) {
                part.ledger.change(counter, *found, change, now);
            }
        }
        for part in &mut self.parts {
            part.ledger.sweep(now);
        }
        Ok(())
    }

    /// Who settles a hold of all counters.
    pub(super) fn settle(&self) -> Arc<dyn Settle> {
        match self.parts.as_slice() {
            [part] => part.stripe.clone(),
            parts => Arc::new(Several(parts.iter().map(|part| part.stripe.clone()).collect())),
        }
    }
}

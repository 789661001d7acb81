//! The books of one process, the default.

use std::fmt;
use std::hash::BuildHasher;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::Store;
use super::answer::Answer;
use super::hold::{Hold, HoldId, Settle};
use super::ledger::{Ledger, Place};
use super::request::{Change, Counter, Reserve, Verdict};
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;
use crate::limits::ProfileId;

/// Counts and holds in this process's memory.
///
/// All counts of a profile, of a tenant, or of everyone lie under one lock, which each shares with one
/// in 256 others; no lock is global. Where a request takes from several, it has their locks at once. A count is kept while its window is open, so memory grows with the profiles that are
/// active in one window: about 100 bytes for each of their limits, and 600 where a window rolls. Closed windows are swept a few
/// at a time by the calls that open new ones; no background work is needed.
///
/// A clock that is set back is safe: a window that is still remembered (a minute longer than it is
/// open) goes on, and one that is not is an error, until the clock has caught up with its end.
///
/// A restart forgets everything.
pub struct MemoryStore {
    stripes: Box<[Arc<Stripe>; 256]>,
    hasher: RandomState,
}

/// Padded, so that neighbouring locks do not share a cache line.
#[repr(align(128))]
struct Stripe(Mutex<Ledger>);

impl MemoryStore {
    /// Empty books.
    #[must_use]
    pub fn new() -> Self {
        let hasher = RandomState::default();
        let stripe = |_| Arc::new(Stripe(Mutex::new(Ledger::new(hasher.clone()))));
        Self { stripes: Box::new(std::array::from_fn(stripe)), hasher: hasher.clone() }
    }

    /// Where the counts of a scope are.
    fn seat(&self, scope: &ProfileId) -> Seat {
        let hash = self.hasher.hash_one(scope);
        let [stripe, ..] = hash.to_le_bytes().map(usize::from);
        Seat { hash, stripe }
    }

    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    fn stripe(&self, seat: Seat) -> &Arc<Stripe> {
        &self.stripes[seat.stripe]
    }

    /// Locks what keeps the counts of these scopes.
    fn lock<'a>(&self, scopes: impl Iterator<Item = &'a ProfileId>) -> Locked<'_> {
        let mut seats: SmallVec<[Seat; 4]> = SmallVec::new();
        let mut last: Option<(&ProfileId, Seat)> = None;
        for scope in scopes {
            // Limits of one scope mostly follow each other.
            let same = last.filter(|(known, _)| ptr::eq(*known, scope));
            let seat = same.map_or_else(|| self.seat(scope), |(_, seat)| seat);
            seats.push(seat);
            last = Some((scope, seat));
        }
        let mut ordered = seats.clone();
        // Everybody locks them in this order.
        ordered.sort_unstable_by_key(|seat| seat.stripe);
        ordered.dedup_by_key(|seat| seat.stripe);
        let part = |seat: Seat| {
            let stripe = self.stripe(seat);
            Part { index: seat.stripe, stripe, ledger: stripe.ledger() }
        };
        Locked { seats, parts: ordered.into_iter().map(part).collect() }
    }

    fn reserve_now(&self, request: &Reserve<'_>) -> Result<Verdict, StoreError> {
        let mut scopes = request.charges.iter().map(|charge| charge.counter.scope);
        let mut counts = Counts::new();
        let (granted, settle): (_, Arc<dyn Settle>) = match scopes.next() {
            Some(first) if scopes.all(|scope| ptr::eq(scope, first)) => {
                let seat = self.seat(first);
                let stripe = self.stripe(seat);
                (stripe.ledger().reserve(seat.hash, request, &mut counts)?, stripe.clone())
            }
            _ => {
                let scopes = request.charges.iter().map(|charge| charge.counter.scope);
                let mut locked = self.lock(scopes);
                (locked.reserve(request, &mut counts)?, locked.settle())
            }
        };
        Ok(if granted {
            Verdict::Granted(Hold::new(request.id, settle), counts)
        } else {
            Verdict::Denied(counts)
        })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |count: fn(&Ledger) -> usize| -> usize {
            self.stripes.iter().map(|stripe| count(&stripe.ledger())).sum()
        };
        f.debug_struct("MemoryStore")
            .field("counters", &sum(Ledger::counters))
            .field("holds", &sum(Ledger::holds))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe").finish_non_exhaustive()
    }
}

impl Stripe {
    /// The books. They stay usable if a thread panics in between: no change to them is left half
    /// done, because none can panic.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
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
struct Stripes(SmallVec<[Arc<Stripe>; 2]>);

impl Stripes {
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

impl Settle for Stripes {
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
struct Seat {
    hash: u64,
    stripe: usize,
}

/// All that a call works on that concerns several scopes, locked.
struct Locked<'a> {
    /// Of each counter of the call.
    seats: SmallVec<[Seat; 4]>,
    parts: SmallVec<[Part<'a>; 4]>,
}

/// A stripe that is locked.
struct Part<'a> {
    index: usize,
    stripe: &'a Arc<Stripe>,
    ledger: MutexGuard<'a, Ledger>,
}

impl Locked<'_> {
    fn find<'a>(
        &mut self,
        counters: impl Iterator<Item = &'a Counter<'a>>,
        now: Timestamp,
    ) -> Result<SmallVec<[(Place, Count); 4]>, StoreError> {
        let mut found = SmallVec::new();
        for (seat, counter) in self.seats.iter().zip(counters) {
            if let Some(part) = self.parts.iter_mut().find(|part| part.index == seat.stripe) {
                let place = part.ledger.find(seat.hash, counter, now);
                found.push((place, part.ledger.count(place)?));
            }
        }
        Ok(found)
    }

    /// Whether the units are held. The counts are pushed to `counts`.
    fn reserve(&mut self, request: &Reserve<'_>, counts: &mut Counts) -> Result<bool, StoreError> {
        let charges = request.charges;
        let found = self.find(charges.iter().map(|charge| &charge.counter), request.now)?;
        counts.extend(found.iter().map(|(_, count)| *count));
        let mut each = charges.iter().zip(&*counts);
        let admitted = each.all(|(charge, count)| charge.admits(count, request.units));
        let repeated = self.parts.iter().any(|part| part.ledger.has(request.id));
        for part in &mut self.parts {
            let all = self.seats.iter().zip(charges).zip(&found).zip(&mut *counts);
            let own = all.filter(|(((seat, _), _), _)| seat.stripe == part.index);
            let own = own.map(|(((_, charge), (place, _)), count)| (charge, *place, count));
            if admitted && !repeated {
                part.ledger.hold(request, own);
            } else if !repeated {
                own.for_each(|(charge, place, count)| {
                    part.ledger.look_ahead(charge, place, count, request.units);
                });
            }
        }
        Ok(admitted || repeated)
    }

    fn change(
        &mut self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let found = self.find(counters.iter(), now)?;
        for part in &mut self.parts {
            let all = self.seats.iter().zip(counters).zip(&found);
            for ((_, counter), found) in all.filter(|((seat, _), _)| seat.stripe == part.index) {
                part.ledger.change(counter, *found, change, now);
            }
            part.ledger.sweep(now);
        }
        Ok(())
    }

    /// Who settles a hold of all counters.
    fn settle(&self) -> Arc<dyn Settle> {
        match self.parts.as_slice() {
            [part] => part.stripe.clone(),
            parts => Arc::new(Stripes(parts.iter().map(|part| part.stripe.clone()).collect())),
        }
    }
}

impl Store for MemoryStore {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        Answer::Ready(self.reserve_now(&request))
    }

    fn read(
        &self,
        counters: &[Counter<'_>],
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        let mut locked = self.lock(counters.iter().map(|counter| counter.scope));
        let found = locked.find(counters.iter(), now);
        Answer::Ready(found.map(|found| found.iter().map(|(_, count)| *count).collect()))
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        let mut locked = self.lock(counters.iter().map(|counter| counter.scope));
        Answer::Ready(locked.change(counters, change, now))
    }
}

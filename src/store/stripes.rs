//! The parts that the books of a process lie in, each under a lock of its own.

use std::array;
use std::hash::BuildHasher;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::counters::Place;
use super::ledger::{Ledger, Seat};
use super::ledgers::{Ledgers, Seats};
use crate::limits::ProfileId;

/// How many there are: as many as a byte can tell apart.
pub(super) const STRIPES: usize = 256;

/// All of them. Which one keeps the counts of a scope is by the hash of its id.
pub(super) struct Stripes {
    stripes: [Stripe; STRIPES],
    hasher: RandomState,
}

/// Padded, so that neighbouring locks do not share a cache line.
#[repr(align(128))]
struct Stripe(Mutex<Ledger>);

impl Default for Stripes {
    fn default() -> Self {
        let hasher = RandomState::default();
        let stripes = array::from_fn(|_| Stripe(Mutex::new(Ledger::new(hasher.clone()))));
        Self { stripes, hasher }
    }
}

impl Stripes {
    pub(super) fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Ledger>> {
        (0..=u8::MAX).map(|stripe| self.ledger(stripe))
    }

    /// Where the counters of these scopes are to be sought. Pushed to `seats`: to move what was just written
    /// would stall.
    pub(super) fn seat<'a>(&self, scopes: impl Iterator<Item = &'a ProfileId>, seats: &mut Seats) {
        let mut last: Option<&ProfileId> = None;
        for scope in scopes {
            // Limits of one scope mostly follow each other.
            let known = seats.last().filter(|_| last.is_some_and(|last| ptr::eq(last, scope)));
            let hash = known.map_or_else(|| self.hasher.hash_one(scope), |seat| seat.hash);
            let [stripe, ..] = hash.to_le_bytes();
            seats.push(Seat { hash, stripe, place: Place::Nowhere });
            last = Some(scope);
        }
    }

    /// Locks the books of a stripe. They stay usable if a thread panics in between: no change to them is
    /// left half done, because none can panic.
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    pub(super) fn ledger(&self, stripe: u8) -> MutexGuard<'_, Ledger> {
        let Stripe(ledger) = &self.stripes[usize::from(stripe)];
        ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the books that these seats are in.
    pub(super) fn lock(&self, seats: &[Seat]) -> Locked<'_> {
        let mut locked = Locked(SmallVec::new());
        self.lock_more(&mut locked, &seats.iter().map(|seat| seat.stripe));
        locked
    }

    /// Locks those of these stripes that come after all that are locked.
    pub(super) fn lock_more<'a>(
        &'a self,
        locked: &mut Locked<'a>,
        stripes: &(impl Iterator<Item = u8> + Clone),
    ) {
        let mut last = locked.0.last().map(|part| part.stripe);
        // Everybody locks them in this order.
        while let Some(stripe) = stripes.clone().filter(|stripe| Some(*stripe) > last).min() {
            locked.0.push(Part { stripe, ledger: self.ledger(stripe) });
            last = Some(stripe);
        }
    }
}

/// Stripes that are locked, in the order in which they were.
pub(super) struct Locked<'a>(SmallVec<[Part<'a>; 4]>);

struct Part<'a> {
    stripe: u8,
    ledger: MutexGuard<'a, Ledger>,
}

impl<'a> Locked<'a> {
    /// One that is locked already.
    pub(super) fn one(stripe: u8, ledger: MutexGuard<'a, Ledger>) -> Self {
        let mut parts = SmallVec::new();
        parts.push(Part { stripe, ledger });
        Self(parts)
    }

    /// The stripe that was locked first.
    pub(super) fn first(&self) -> u8 {
        self.0.first().map_or(0, |part| part.stripe)
    }
}

impl Ledgers for Locked<'_> {
    #[inline]
    fn of(&mut self, stripe: u8) -> Option<&mut Ledger> {
        let part = self.0.iter_mut().find(|part| part.stripe == stripe)?;
        Some(&mut part.ledger)
    }
}

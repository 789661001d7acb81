//! The books of one process, the default.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use super::Store;
use super::answer::Answer;
use super::hold::{Hold, HoldId, Settle};
use super::ledger::{Ledger, Scope};
use super::request::{Change, Counter, Reserve, Verdict};
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;
use crate::limits::ProfileId;

/// Counts and holds in this process's memory.
///
/// All counts of a profile lie under one lock, which it shares with one profile in 256; no lock is
/// global. A count is kept while its window is open, so memory grows with the profiles that are
/// active in one window: about 100 bytes for each of their limits. Closed windows are swept a few
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

    /// The stripe that keeps all counts of `id`.
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    fn stripe<'a>(&self, id: &'a ProfileId) -> (&Arc<Stripe>, Scope<'a>) {
        let hash = self.hasher.hash_one(id);
        let [byte, ..] = hash.to_le_bytes();
        (&self.stripes[usize::from(byte)], Scope { id, hash })
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

impl Store for MemoryStore {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        let (stripe, scope) = self.stripe(request.scope);
        let mut counts = Counts::new();
        let reserved = stripe.ledger().reserve(scope, &request, &mut counts);
        Answer::Ready(match reserved {
            Ok(true) => Ok(Verdict::Granted(Hold::new(request.id, stripe.clone()), counts)),
            Ok(false) => Ok(Verdict::Denied(counts)),
            Err(error) => Err(error),
        })
    }

    fn read(
        &self,
        scope: &ProfileId,
        counters: &[Counter<'_>],
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        let (stripe, scope) = self.stripe(scope);
        Answer::Ready(stripe.ledger().read(scope, counters))
    }

    fn change(
        &self,
        scope: &ProfileId,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        let (stripe, scope) = self.stripe(scope);
        Answer::Ready(stripe.ledger().change(scope, counters, change, now))
    }
}

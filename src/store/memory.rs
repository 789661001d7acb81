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
use super::ledger::{Found, Ledger};
use super::request::{Change, Counter, Reserve, Verdict};
use crate::clock::Timestamp;
use crate::count::{Count, Spent};
use crate::error::StoreError;
use crate::limits::ProfileId;

/// Counts and holds in this process's memory.
///
/// All counts of a profile, of a tenant, or of everyone lie under one lock, which each shares with one
/// in 256 others; no lock is global. Where a request takes from several, it has their locks at once. A count is kept while its window is open, so memory grows with the profiles that are
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

    /// Locks what keeps the counts of these scopes.
    fn lock<'a>(&self, scopes: impl Iterator<Item = &'a ProfileId>) -> Locked<'_> {
        let mut stripes: SmallVec<[usize; 2]> = SmallVec::new();
        let mut charged: SmallVec<[Scope; 2]> = SmallVec::new();
        let mut last = None;
        for scope in scopes {
            match charged.last().copied() {
                Some(same) if last.is_some_and(|last| ptr::eq(last, scope)) => charged.push(same),
                _ => {
                    let hash = self.hasher.hash_one(scope);
                    let [stripe, ..] = hash.to_le_bytes().map(usize::from);
                    charged.push(Scope { hash, stripe });
                    stripes.push(stripe);
                }
            }
            last = Some(scope);
        }
        // Everybody locks them in this order.
        stripes.sort_unstable();
        stripes.dedup();
        let part = |index| {
            let stripe = self.stripes.get(index)?;
            Some(Part { index, stripe, ledger: stripe.ledger() })
        };
        Locked { scopes: charged, parts: stripes.into_iter().filter_map(part).collect() }
    }
}

impl MemoryStore {
    fn reserve_now(&self, request: &Reserve<'_>) -> Result<Verdict, StoreError> {
        let mut locked = self.lock(request.charges.iter().map(|charge| charge.counter.scope));
        let mut found = locked.find(request.charges.iter().map(|charge| &charge.counter))?;
        let mut each = request.charges.iter().zip(&found);
        let admitted = each.all(|(charge, found)| charge.admits(&found.count, request.units));
        let repeated = locked.has(request.id);
        if admitted && !repeated {
            locked.hold(request, &mut found);
        }
        let counts = found.iter().map(|found| found.count).collect();
        Ok(if admitted || repeated {
            Verdict::Granted(Hold::new(request.id, locked.settle()), counts)
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

impl Settle for Stripes {
    fn settle(&self, id: HoldId, spent: Spent) {
        for stripe in &self.0 {
            stripe.settle(id, spent);
        }
    }
}

/// Where the counts of a scope are.
#[derive(Clone, Copy)]
struct Scope {
    hash: u64,
    stripe: usize,
}

/// All that one call works on, locked.
struct Locked<'a> {
    /// Of each counter of the call.
    scopes: SmallVec<[Scope; 2]>,
    parts: SmallVec<[Part<'a>; 2]>,
}

/// A stripe that is locked.
struct Part<'a> {
    index: usize,
    stripe: &'a Arc<Stripe>,
    ledger: MutexGuard<'a, Ledger>,
}

impl Locked<'_> {
    fn find<'a>(
        &self,
        counters: impl Iterator<Item = &'a Counter<'a>>,
    ) -> Result<SmallVec<[Found; 2]>, StoreError> {
        let find = |(scope, counter): (&Scope, _)| {
            let part = self.parts.iter().find(|part| part.index == scope.stripe)?;
            Some(part.ledger.find(scope.hash, counter))
        };
        self.scopes.iter().zip(counters).filter_map(find).collect()
    }

    fn has(&self, id: HoldId) -> bool {
        self.parts.iter().any(|part| part.ledger.has(id))
    }

    fn hold(&mut self, request: &Reserve<'_>, found: &mut [Found]) {
        for part in &mut self.parts {
            let all = self.scopes.iter().zip(request.charges).zip(&mut *found);
            let own = all.filter(|((scope, _), _)| scope.stripe == part.index);
            part.ledger.hold(request, own.map(|((_, charge), found)| (&charge.counter, found)));
        }
    }

    fn change(
        &mut self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let found = self.find(counters.iter())?;
        for part in &mut self.parts {
            let all = self.scopes.iter().zip(counters).zip(&found);
            for ((_, counter), found) in all.filter(|((scope, _), _)| scope.stripe == part.index) {
                part.ledger.change(counter, *found, change);
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

    fn read(&self, counters: &[Counter<'_>]) -> Answer<Result<Vec<Count>, StoreError>> {
        let locked = self.lock(counters.iter().map(|counter| counter.scope));
        let found = locked.find(counters.iter());
        Answer::Ready(found.map(|found| found.iter().map(|found| found.count).collect()))
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

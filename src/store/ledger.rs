//! The books of one stripe: counters in a slab, found by a hash table, swept by a cursor.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use super::hold::HoldId;
use super::{Change, Counter, Reserve};
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;
use crate::limits::{LimitKey, ProfileId};

/// How long a closed window is remembered: for a request that read the clock just before the end,
/// and for a clock that is set back a little.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many slots the cursor passes after a call that opened a counter: enough to free what one
/// window leaves behind long before the next window has opened as much.
const SWEPT: usize = 4;

/// Counters and holds. Not shared, and told the time.
#[derive(Debug)]
pub(super) struct Ledger {
    hasher: RandomState,
    counters: Slab<CounterEntry>,
    /// Where in the slab a counter is.
    slots: HashTable<usize>,
    holds: HashTable<HoldEntry>,
    cursor: usize,
    /// The latest end of a window that has been forgotten.
    forgotten: Timestamp,
}

#[derive(Debug)]
struct CounterEntry {
    scope: ProfileId,
    limit: Arc<LimitKey>,
    count: Count,
}

#[derive(Debug)]
struct HoldEntry {
    id: HoldId,
    units: u64,
    /// A counter keeps its slot while something is held of it.
    slots: SmallVec<[usize; 2]>,
}

/// Whose counters to look for, with the hash of the id.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) id: &'a ProfileId,
    pub(super) hash: u64,
}

/// What a look for a counter found.
struct Found {
    hash: u64,
    /// None for a counter in which nothing has happened yet.
    slot: Option<usize>,
    count: Count,
}

impl Ledger {
    /// Empty books, for scopes hashed with `hasher`.
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            hasher,
            counters: Slab::new(),
            slots: HashTable::new(),
            holds: HashTable::new(),
            cursor: 0,
            forgotten: Timestamp::MIN,
        }
    }

    /// Whether the units are held, and the counts.
    pub(super) fn reserve(
        &mut self,
        scope: Scope<'_>,
        request: &Reserve<'_>,
    ) -> Result<(bool, Counts), StoreError> {
        let mut found: SmallVec<[Found; 2]> = SmallVec::new();
        for charge in request.charges {
            found.push(self.find(scope, &charge.counter)?);
        }
        let hold_hash = self.hasher.hash_one(request.id);
        let repeated = self.holds.find(hold_hash, |hold| hold.id == request.id);
        let admits = || {
            let mut each = request.charges.iter().zip(&found);
            each.all(|(charge, found)| charge.admits(&found.count, request.units))
        };
        let granted = repeated.is_some() || admits();
        if granted && repeated.is_none() {
            let mut slots = SmallVec::new();
            for (charge, found) in request.charges.iter().zip(&mut found) {
                found.count.held = found.count.held.saturating_add(request.units);
                slots.push(self.write(scope, &charge.counter, found));
            }
            let hold = HoldEntry { id: request.id, units: request.units, slots };
            let hasher = &self.hasher;
            self.holds.insert_unique(hold_hash, hold, |hold| hasher.hash_one(hold.id));
        }
        if granted && found.iter().any(|found| found.slot.is_none()) {
            self.sweep(request.now);
        }
        let mut counts = Counts::new();
        for found in found {
            counts.push(found.count);
        }
        Ok((granted, counts))
    }

    pub(super) fn settle(&mut self, id: HoldId, spent: Spent) {
        let hash = self.hasher.hash_one(id);
        let Ok(entry) = self.holds.find_entry(hash, |hold| hold.id == id) else {
            return;
        };
        let (hold, _) = entry.remove();
        for slot in hold.slots {
            if let Some(counter) = self.counters.get_mut(slot) {
                counter.count.settle(hold.units, spent);
            }
        }
    }

    pub(super) fn read(
        &self,
        scope: Scope<'_>,
        counters: &[Counter<'_>],
    ) -> Result<Vec<Count>, StoreError> {
        let count = |counter| self.find(scope, counter).map(|found| found.count);
        counters.iter().map(count).collect()
    }

    pub(super) fn change(
        &mut self,
        scope: Scope<'_>,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let found: Result<Vec<Found>, _> =
            counters.iter().map(|counter| self.find(scope, counter)).collect();
        for (counter, mut found) in counters.iter().zip(found?) {
            found.count.used = change.applied_to(found.count.used);
            if found.slot.is_some() || found.count.used > 0 {
                self.write(scope, counter, &found);
            }
        }
        self.sweep(now);
        Ok(())
    }

    fn find(&self, scope: Scope<'_>, counter: &Counter<'_>) -> Result<Found, StoreError> {
        let start = counter.window.start;
        let hash = counter_hash(&self.hasher, scope.hash, counter.limit, start);
        let entry = self.slots.find(hash, |slot| {
            self.counters.get(*slot).is_some_and(|entry| {
                entry.count.window.start == start
                    && entry.scope == *scope.id
                    && (Arc::ptr_eq(&entry.limit, counter.limit) || entry.limit == *counter.limit)
            })
        });
        let slot = entry.copied();
        let count = slot.and_then(|slot| self.counters.get(slot)).map(|entry| entry.count);
        if count.is_none() && counter.window.end <= self.forgotten {
            return Err(StoreError::clock_skew(counter.window.end));
        }
        Ok(Found { hash, slot, count: count.unwrap_or(Count::unused(counter.window)) })
    }

    /// Writes a count back, into a new slot if it had none.
    fn write(&mut self, scope: Scope<'_>, counter: &Counter<'_>, found: &Found) -> usize {
        if let Some(slot) = found.slot {
            if let Some(entry) = self.counters.get_mut(slot) {
                entry.count = found.count;
            }
            return slot;
        }
        let slot = self.counters.insert(CounterEntry {
            scope: scope.id.clone(),
            limit: counter.limit.clone(),
            count: found.count,
        });
        let (hasher, counters) = (&self.hasher, &self.counters);
        self.slots.insert_unique(found.hash, slot, |slot| {
            counters.get(*slot).map_or(0, |entry| entry.hash(hasher))
        });
        slot
    }

    /// Moves the cursor on, and forgets the counters it passes that nobody will miss.
    fn sweep(&mut self, now: Timestamp) {
        for _ in 0..SWEPT {
            let slot = self.cursor;
            self.cursor = slot.wrapping_add(1);
            if self.cursor >= self.counters.capacity() {
                self.cursor = 0;
            }
            let Some(entry) = self.counters.get(slot).filter(|entry| entry.is_over(now)) else {
                continue;
            };
            if entry.count.used > 0 {
                self.forgotten = self.forgotten.max(entry.count.window.end);
            }
            let hash = entry.hash(&self.hasher);
            if let Ok(found) = self.slots.find_entry(hash, |other| *other == slot) {
                found.remove();
            }
            self.counters.remove(slot);
        }
    }
}

impl CounterEntry {
    /// Whether nothing is held, and nothing used that still counts.
    fn is_over(&self, now: Timestamp) -> bool {
        let closed = self.count.window.end.saturating_add(REMEMBERED) <= now;
        self.count.held == 0 && (closed || self.count.used == 0)
    }

    fn hash(&self, hasher: &RandomState) -> u64 {
        let scope = hasher.hash_one(&self.scope);
        counter_hash(hasher, scope, &self.limit, self.count.window.start)
    }
}

fn counter_hash(hasher: &RandomState, scope: u64, limit: &LimitKey, start: Timestamp) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u64(scope);
    limit.hash(&mut state);
    start.hash(&mut state);
    state.finish()
}

//! The books of one stripe: counters in a slab, found by a hash table, swept by a cursor.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use super::hold::HoldId;
use super::request::{Change, Counter, Reserve};
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

struct CounterEntry {
    scope: ProfileId,
    limit: Arc<LimitKey>,
    count: Count,
    /// Holds that refer to this slot, counted apart: a hold may be of no units.
    holds: u32,
}

struct HoldEntry {
    id: HoldId,
    units: u64,
    /// A counter keeps its slot while a hold refers to it.
    slots: SmallVec<[usize; 2]>,
}

/// Whose counters to look for, with the hash of the id.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) id: &'a ProfileId,
    pub(super) hash: u64,
}

/// Where a counter is, or would be.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    /// None for a counter in which nothing has happened yet.
    slot: Option<usize>,
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

    /// Whether the units are held. The counts are pushed to `counts`.
    pub(super) fn reserve(
        &mut self,
        scope: Scope<'_>,
        request: &Reserve<'_>,
        counts: &mut Counts,
    ) -> Result<bool, StoreError> {
        let mut places: SmallVec<[Place; 2]> = SmallVec::new();
        let mut admitted = true;
        for charge in request.charges {
            let place = self.place(scope, &charge.counter);
            let count = self.count(place, &charge.counter)?;
            admitted &= charge.admits(&count, request.units);
            places.push(place);
            counts.push(count);
        }
        let hash = hold_hash(request.id);
        let repeated = self.holds.find(hash, |hold| hold.id == request.id).is_some();
        if repeated || !admitted {
            return Ok(repeated);
        }
        let mut slots = SmallVec::new();
        for ((charge, place), count) in request.charges.iter().zip(&places).zip(counts) {
            let slot = self.slot(scope, &charge.counter, *place);
            if let Some(entry) = self.counters.get_mut(slot) {
                entry.holds = entry.holds.saturating_add(1);
                entry.count.held = entry.count.held.saturating_add(request.units);
                count.held = entry.count.held;
            }
            slots.push(slot);
        }
        let hold = HoldEntry { id: request.id, units: request.units, slots };
        self.holds.insert_unique(hash, hold, |hold| hold_hash(hold.id));
        if places.iter().any(|place| place.slot.is_none()) {
            self.sweep(request.now);
        }
        Ok(true)
    }

    pub(super) fn settle(&mut self, id: HoldId, spent: Spent) {
        let Ok(entry) = self.holds.find_entry(hold_hash(id), |hold| hold.id == id) else {
            return;
        };
        let (hold, _) = entry.remove();
        for slot in hold.slots {
            if let Some(counter) = self.counters.get_mut(slot) {
                counter.count.settle(hold.units, spent);
                counter.holds = counter.holds.saturating_sub(1);
            }
        }
    }

    pub(super) fn counters(&self) -> usize {
        self.counters.len()
    }

    pub(super) fn holds(&self) -> usize {
        self.holds.len()
    }

    pub(super) fn read(
        &self,
        scope: Scope<'_>,
        counters: &[Counter<'_>],
    ) -> Result<Vec<Count>, StoreError> {
        let count = |counter| self.count(self.place(scope, counter), counter);
        counters.iter().map(count).collect()
    }

    pub(super) fn change(
        &mut self,
        scope: Scope<'_>,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let counts = self.read(scope, counters)?;
        for (counter, count) in counters.iter().zip(counts) {
            let place = self.place(scope, counter);
            let used = change.applied_to(count.used);
            if place.slot.is_none() && used == 0 {
                continue;
            }
            let slot = self.slot(scope, counter, place);
            if let Some(entry) = self.counters.get_mut(slot) {
                entry.count.used = used;
            }
        }
        self.sweep(now);
        Ok(())
    }

    fn place(&self, scope: Scope<'_>, counter: &Counter<'_>) -> Place {
        let start = counter.window.start;
        let hash = counter_hash(&self.hasher, scope.hash, counter.limit, start);
        let slot = self.slots.find(hash, |slot| {
            self.counters.get(*slot).is_some_and(|entry| {
                entry.count.window.start == start
                    && entry.scope == *scope.id
                    && (Arc::ptr_eq(&entry.limit, counter.limit) || entry.limit == *counter.limit)
            })
        });
        Place { hash, slot: slot.copied() }
    }

    fn count(&self, place: Place, counter: &Counter<'_>) -> Result<Count, StoreError> {
        match place.slot.and_then(|slot| self.counters.get(slot)) {
            Some(entry) => Ok(entry.count),
            None if counter.window.end <= self.forgotten => {
                Err(StoreError::clock_skew(counter.window.end))
            }
            None => Ok(Count::unused(counter.window)),
        }
    }

    /// The slot of a counter, a new one if it has none.
    fn slot(&mut self, scope: Scope<'_>, counter: &Counter<'_>, place: Place) -> usize {
        if let Some(slot) = place.slot {
            return slot;
        }
        let slot = self.counters.insert(CounterEntry {
            scope: scope.id.clone(),
            limit: counter.limit.clone(),
            count: Count::unused(counter.window),
            holds: 0,
        });
        let (hasher, counters) = (&self.hasher, &self.counters);
        self.slots.insert_unique(place.hash, slot, |slot| {
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
    /// Whether no hold refers to it, and nothing is used that still counts.
    fn is_over(&self, now: Timestamp) -> bool {
        let closed = self.count.window.end.saturating_add(REMEMBERED) <= now;
        self.holds == 0 && (closed || self.count.used == 0)
    }

    fn hash(&self, hasher: &RandomState) -> u64 {
        let scope = hasher.hash_one(&self.scope);
        counter_hash(hasher, scope, &self.limit, self.count.window.start)
    }
}

#[inline]
fn counter_hash(hasher: &RandomState, scope: u64, limit: &LimitKey, start: Timestamp) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u64(scope);
    limit.hash(&mut state);
    start.hash(&mut state);
    state.finish()
}

/// Ids are counted up: spread over all bits, they need no hashing.
fn hold_hash(id: HoldId) -> u64 {
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
    (id.sequence ^ id.nonce).wrapping_mul(GOLDEN_RATIO)
}

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
use crate::count::{Count, Spent};
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

/// What there is of a counter that somebody wants to hold units of.
#[derive(Clone, Copy)]
pub(super) struct Found {
    place: Place,
    pub(super) count: Count,
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

    /// Looks for a counter.
    pub(super) fn find(&self, hash: u64, counter: &Counter<'_>) -> Result<Found, StoreError> {
        let place = self.place(hash, counter);
        Ok(Found { place, count: self.count(place, counter)? })
    }

    pub(super) fn has(&self, id: HoldId) -> bool {
        self.holds.find(hold_hash(id), |hold| hold.id == id).is_some()
    }

    /// Holds units of counters of these books, each of which was found in them just now, and which is
    /// not held by `request` already. What is found is brought up to date.
    pub(super) fn hold<'a>(
        &mut self,
        request: &Reserve<'_>,
        counters: impl Iterator<Item = (&'a Counter<'a>, &'a mut Found)>,
    ) {
        let mut slots = SmallVec::new();
        let mut opened = false;
        for (counter, found) in counters {
            opened |= found.place.slot.is_none();
            let slot = self.slot(counter, found.place);
            if let Some(entry) = self.counters.get_mut(slot) {
                let units = counter.limit.measure().held(request.units);
                entry.holds = entry.holds.saturating_add(1);
                entry.count.held = entry.count.held.saturating_add(units);
                found.count.held = entry.count.held;
            }
            slots.push(slot);
        }
        let hold = HoldEntry { id: request.id, units: request.units, slots };
        self.holds.insert_unique(hold_hash(hold.id), hold, |hold| hold_hash(hold.id));
        if opened {
            self.sweep(request.now);
        }
    }

    pub(super) fn settle(&mut self, id: HoldId, spent: Spent) {
        let Ok(entry) = self.holds.find_entry(hold_hash(id), |hold| hold.id == id) else {
            return;
        };
        let (hold, _) = entry.remove();
        for slot in hold.slots {
            if let Some(counter) = self.counters.get_mut(slot) {
                counter.count.settle(counter.limit.measure(), hold.units, spent);
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

    /// Changes what is used of a counter that was found just now.
    pub(super) fn change(&mut self, counter: &Counter<'_>, found: Found, change: Change) {
        let used = change.applied_to(found.count.used);
        if found.place.slot.is_none() && used == 0 {
            return;
        }
        let slot = self.slot(counter, found.place);
        if let Some(entry) = self.counters.get_mut(slot) {
            entry.count.used = used;
        }
    }

    fn place(&self, scope: u64, counter: &Counter<'_>) -> Place {
        let start = counter.window.start;
        let hash = counter_hash(&self.hasher, scope, counter.limit, start);
        let slot = self.slots.find(hash, |slot| {
            self.counters.get(*slot).is_some_and(|entry| {
                entry.count.window.start == start
                    && entry.scope == *counter.scope
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
    fn slot(&mut self, counter: &Counter<'_>, place: Place) -> usize {
        if let Some(slot) = place.slot {
            return slot;
        }
        let slot = self.counters.insert(CounterEntry {
            scope: counter.scope.clone(),
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
    pub(super) fn sweep(&mut self, now: Timestamp) {
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

//! The books of one stripe: counters in a slab, found by a hash table, swept by a cursor.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use super::entry::{CounterEntry, HoldEntry, counter_hash, mark};
use super::hold::HoldId;
use super::request::{Change, Charge, Counter, Reserve};
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;
use crate::limits::Span;

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

/// Where a counter is, or would be.
#[derive(Clone, Copy)]
pub(super) struct Place {
    hash: u64,
    /// None for a counter in which nothing has happened yet.
    slot: Option<usize>,
    /// The window of it that counts.
    window: Span,
    /// The counter of the window before it, where windows follow the profile's calendar.
    last: Option<usize>,
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

    /// Whether the units are held, of counters that are all in these books and of scopes with this
    /// hash. The counts are pushed to `counts`.
    pub(super) fn reserve(
        &mut self,
        hash: u64,
        request: &Reserve<'_>,
        counts: &mut Counts,
    ) -> Result<bool, StoreError> {
        let mut places: SmallVec<[Place; 2]> = SmallVec::new();
        let mut admitted = true;
        for charge in request.charges {
            let place = self.find(hash, &charge.counter, request.now);
            let count = self.count(place)?;
            admitted &= charge.admits(&count, request.units);
            places.push(place);
            counts.push(count);
        }
        let repeated = self.has(request.id);
        let each = request.charges.iter().zip(&places).zip(counts);
        if admitted && !repeated {
            self.hold(request, each.map(|((charge, place), count)| (charge, *place, count)));
        } else if !repeated {
            each.for_each(|((charge, place), count)| {
                self.look_ahead(charge, *place, count, request.units);
            });
        }
        Ok(admitted || repeated)
    }

    /// Looks for a counter of a scope with this hash, and brings it up to `now`.
    pub(super) fn find(&mut self, hash: u64, counter: &Counter<'_>, now: Timestamp) -> Place {
        let place = self.place(hash, counter, now);
        if counter.limit.rolling().is_some() {
            if let Some(entry) = place.slot.and_then(|slot| self.counters.get_mut(slot)) {
                entry.roll(now);
            }
        }
        place
    }

    /// Tells whoever is denied when the units come back, where a window rolls.
    pub(super) fn look_ahead(
        &self,
        charge: &Charge<'_>,
        place: Place,
        count: &mut Count,
        units: u64,
    ) {
        let entry = place.slot.and_then(|slot| self.counters.get(slot));
        if let Some(buckets) = entry.and_then(CounterEntry::buckets) {
            let missing = charge.missing(count, units).max(1);
            count.window.end = buckets.come_back_at(missing, count.held);
        }
    }

    pub(super) fn has(&self, id: HoldId) -> bool {
        self.holds.find(hold_hash(id), |hold| hold.id == id).is_some()
    }

    /// Holds units of counters of these books, each of which was found in them just now, and which is
    /// not held by `request` already. The counts are brought up to date.
    #[inline]
    pub(super) fn hold<'a>(
        &mut self,
        request: &Reserve<'_>,
        counters: impl Iterator<Item = (&'a Charge<'a>, Place, &'a mut Count)>,
    ) {
        let mut slots = SmallVec::new();
        let (mut opened, mut at) = (false, request.now);
        for (charge, place, count) in counters {
            opened |= place.slot.is_none();
            let slot = self.slot(&charge.counter, place, request.now);
            if let Some(entry) = self.counters.get_mut(slot) {
                let units = charge.counter.limit.measure().held(request.units);
                entry.holds = entry.holds.saturating_add(1);
                entry.count.held = entry.count.held.saturating_add(units);
                // Only what has changed: to read all of what was just written in parts would stall.
                count.held = entry.count.held;
                entry.cap_refunds(charge.refunds, request.now);
                if let Some(buckets) = entry.buckets() {
                    at = buckets.counts_from(at);
                    count.window.end = buckets.come_back_at(1, count.held);
                }
            }
            slots.push(slot);
        }
        let hold = HoldEntry { id: request.id, units: request.units, at, slots };
        self.holds.insert_unique(hold_hash(hold.id), hold, |hold| hold_hash(hold.id));
        if opened {
            self.sweep(request.now);
        }
    }

    /// Whether a hold may be refunded by what is counted here: all of it, or nothing of it.
    pub(super) fn can_refund(&self, id: HoldId) -> bool {
        let Some(hold) = self.holds.find(hold_hash(id), |hold| hold.id == id) else { return true };
        let mut counters = hold.slots.iter().filter_map(|slot| self.counters.get(*slot));
        counters.all(|counter| counter.can_refund(hold))
    }

    pub(super) fn settle(&mut self, id: HoldId, spent: Spent) {
        let refused = spent == Spent::Refund && !self.can_refund(id);
        let spent = if refused { Spent::Held } else { spent };
        let Ok(entry) = self.holds.find_entry(hold_hash(id), |hold| hold.id == id) else {
            return;
        };
        let (hold, _) = entry.remove();
        for slot in &hold.slots {
            if let Some(counter) = self.counters.get_mut(*slot) {
                counter.settle(&hold, spent);
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
    pub(super) fn change(
        &mut self,
        counter: &Counter<'_>,
        (place, count): (Place, Count),
        change: Change,
        now: Timestamp,
    ) {
        let used = change.applied_to(count.used);
        if place.slot.is_none() && used == 0 {
            return;
        }
        let slot = self.slot(counter, place, now);
        if let Some(entry) = self.counters.get_mut(slot) {
            entry.set_used(used, now);
        }
    }

    fn place(&self, scope: u64, counter: &Counter<'_>, now: Timestamp) -> Place {
        let window = counter.window;
        let mark = mark(counter.limit, window);
        let hash = counter_hash(&self.hasher, scope, counter.limit, mark);
        let slot = self.slots.find(hash, |slot| {
            self.counters.get(*slot).is_some_and(|entry| {
                entry.mark() == mark
                    && entry.scope == *counter.scope
                    && (Arc::ptr_eq(&entry.limit, counter.limit) || entry.limit == *counter.limit)
            })
        });
        let place = Place { hash, slot: slot.copied(), window, last: None };
        if counter.limit.longest_window().is_some() {
            self.follow(place, counter, now)
        } else {
            place
        }
    }

    /// The place of the window that counts at `now`, if that of the last one was found.
    fn follow(&self, place: Place, counter: &Counter<'_>, now: Timestamp) -> Place {
        let Some(last) = place.slot.and_then(|slot| self.counters.get(slot)) else { return place };
        let window = counter.window_after(last.count.window, now);
        if window == last.count.window {
            Place { window, ..place }
        } else {
            Place { window, slot: None, last: place.slot, ..place }
        }
    }

    /// What is counted where a counter was found.
    pub(super) fn count(&self, place: Place) -> Result<Count, StoreError> {
        match place.slot.and_then(|slot| self.counters.get(slot)) {
            Some(entry) => Ok(entry.count),
            None if place.window.end <= self.forgotten => {
                Err(StoreError::clock_skew(place.window.end))
            }
            None => Ok(Count::unused(place.window)),
        }
    }

    /// The slot of a counter, a new one if it has none.
    fn slot(&mut self, counter: &Counter<'_>, place: Place, now: Timestamp) -> usize {
        if let Some(slot) = place.slot {
            return slot;
        }
        let (scope, limit) = (counter.scope.clone(), counter.limit.clone());
        let counter = CounterEntry::new(scope, limit, place.window, now);
        if let Some(last) = place.last {
            if let Some(entry) = self.counters.get_mut(last).filter(|last| last.holds == 0) {
                *entry = counter;
                return last;
            }
            // It is not looked for any more, but by its holds.
            self.unlist(last, place.hash);
        }
        let slot = self.counters.insert(counter);
        let (hasher, counters) = (&self.hasher, &self.counters);
        self.slots.insert_unique(place.hash, slot, |slot| {
            counters.get(*slot).map_or(0, |entry| entry.hash(hasher))
        });
        slot
    }

    fn unlist(&mut self, slot: usize, hash: u64) {
        if let Ok(found) = self.slots.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
    }

    /// Moves the cursor on, and forgets the counters it passes that nobody will miss.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        for _ in 0..SWEPT {
            let slot = self.cursor;
            self.cursor = slot.wrapping_add(1);
            if self.cursor >= self.counters.capacity() {
                self.cursor = 0;
            }
            let Some(entry) = self.counters.get_mut(slot) else { continue };
            entry.roll(now);
            if !entry.is_over(now) {
                continue;
            }
            if !entry.is_empty() {
                self.forgotten = self.forgotten.max(entry.count.window.end);
            }
            let hash = entry.hash(&self.hasher);
            self.unlist(slot, hash);
            self.counters.remove(slot);
        }
    }
}

/// Ids are counted up: spread over all bits, they need no hashing.
fn hold_hash(id: HoldId) -> u64 {
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
    (id.sequence ^ id.nonce).wrapping_mul(GOLDEN_RATIO)
}

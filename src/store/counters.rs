//! The counters of one ledger: in a slab, found by a hash table, swept by a cursor.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;

use super::entry::{CounterEntry, counter_hash, mark};
use super::request::Counter;
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
use crate::limits::Span;

/// How many slots the cursor passes after a call that opened a counter: enough to free what one
/// window leaves behind long before the next window has opened as much.
const SWEPT: usize = 4;

/// Counters, by the slots that they have.
pub(super) struct Counters {
    hasher: RandomState,
    entries: Slab<CounterEntry>,
    /// Where in the slab a counter is.
    slots: HashTable<usize>,
    cursor: usize,
    /// The latest end of a window that has been forgotten.
    forgotten: Timestamp,
}

/// Where a counter is, or would be.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// In this slot.
    There(usize),
    /// Nowhere: nothing has happened in it yet.
    Nowhere,
    /// The same, and this slot has the window before it, where windows follow the profile's calendar.
    After(usize),
}

impl Place {
    /// The slot of a counter that is there.
    #[inline]
    pub(super) fn slot(self) -> Option<usize> {
        match self {
            Self::There(slot) => Some(slot),
            Self::Nowhere | Self::After(_) => None,
        }
    }
}

impl Counters {
    /// None, of scopes hashed with `hasher`.
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            hasher,
            entries: Slab::new(),
            slots: HashTable::new(),
            cursor: 0,
            forgotten: Timestamp::MIN,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&CounterEntry> {
        self.entries.get(slot)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut CounterEntry> {
        self.entries.get_mut(slot)
    }

    /// Looks for a counter of a scope with this hash, and brings it up to `now`.
    pub(super) fn find(&mut self, hash: u64, counter: &Counter<'_>, now: Timestamp) -> Place {
        let place = self.place(hash, counter, now);
        if counter.limit.rolling().is_some() {
            if let Some(entry) = place.slot().and_then(|slot| self.entries.get_mut(slot)) {
                entry.roll(now);
            }
        }
        place
    }

    fn place(&self, scope: u64, counter: &Counter<'_>, now: Timestamp) -> Place {
        let mark = mark(counter.limit, counter.window);
        let hash = self.hash(scope, counter);
        let found = self.slots.find(hash, |slot| {
            self.entries.get(*slot).is_some_and(|entry| {
                entry.mark() == mark
                    && entry.scope == *counter.scope
                    && (Arc::ptr_eq(&entry.limit, counter.limit) || entry.limit == *counter.limit)
            })
        });
        match found.copied() {
            Some(slot) if counter.limit.longest_window().is_some() => {
                self.follow(slot, counter, now)
            }
            Some(slot) => Place::There(slot),
            None => Place::Nowhere,
        }
    }

    #[inline]
    fn hash(&self, scope: u64, counter: &Counter<'_>) -> u64 {
        let mark = mark(counter.limit, counter.window);
        counter_hash(&self.hasher, scope, counter.limit, mark)
    }

    /// Where the window is that counts at `now`, after the last one in this slot.
    fn follow(&self, slot: usize, counter: &Counter<'_>, now: Timestamp) -> Place {
        match self.entries.get(slot).map(|last| last.count.window) {
            Some(last) if counter.window_after(last, now) == last => Place::There(slot),
            Some(_) => Place::After(slot),
            None => Place::Nowhere,
        }
    }

    /// What is counted where a counter was found.
    #[inline]
    pub(super) fn count(
        &self,
        place: Place,
        counter: &Counter<'_>,
        now: Timestamp,
    ) -> Result<Count, StoreError> {
        if let Some(entry) = place.slot().and_then(|slot| self.entries.get(slot)) {
            if entry.is_far_ahead(now) {
                return Err(StoreError::clock_set_back(entry.count.window.start));
            }
            return Ok(entry.count);
        }
        let window = self.new_window(place, counter, now);
        if window.end <= self.forgotten {
            return Err(StoreError::clock_skew(window.end));
        }
        Ok(Count::unused(window))
    }

    /// The window of a counter that is not there.
    fn new_window(&self, place: Place, counter: &Counter<'_>, now: Timestamp) -> Span {
        match place {
            Place::After(last) => {
                let last = self.entries.get(last).map(|last| last.count.window);
                last.map_or(counter.window, |last| counter.window_after(last, now))
            }
            Place::There(_) | Place::Nowhere => counter.window,
        }
    }

    /// The slot of a counter of a scope with this hash, a new one if it has none.
    #[inline]
    pub(super) fn slot(
        &mut self,
        scope: u64,
        counter: &Counter<'_>,
        place: Place,
        now: Timestamp,
    ) -> usize {
        match place {
            Place::There(slot) => slot,
            Place::Nowhere | Place::After(_) => self.new_slot(scope, counter, place, now),
        }
    }

    #[cold]
    fn new_slot(
        &mut self,
        scope: u64,
        counter: &Counter<'_>,
        place: Place,
        now: Timestamp,
    ) -> usize {
        let hash = self.hash(scope, counter);
        let window = self.new_window(place, counter, now);
        let (scope, limit) = (counter.scope.clone(), counter.limit.clone());
        let mut counter = CounterEntry::new(scope, limit, window, now);
        if let Place::After(last) = place {
            if let Some(entry) = self.entries.get_mut(last) {
                counter.follows = entry.follows || !entry.is_empty() || entry.holds > 0;
                if entry.holds == 0 {
                    *entry = counter;
                    return last;
                }
            }
            // It is not looked for any more, but by its holds.
            self.unlist(last, hash);
        }
        let slot = self.entries.insert(counter);
        let (hasher, entries) = (&self.hasher, &self.entries);
        self.slots.insert_unique(hash, slot, |slot| {
            entries.get(*slot).map_or(0, |entry| entry.hash(hasher))
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
            if self.cursor >= self.entries.capacity() {
                self.cursor = 0;
            }
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            entry.roll(now);
            if !entry.is_over(now) {
                continue;
            }
            if !entry.is_empty() {
                self.forgotten = self.forgotten.max(entry.count.window.end);
            } else if entry.follows {
                self.forgotten = self.forgotten.max(entry.count.window.start);
            }
            let hash = entry.hash(&self.hasher);
            self.unlist(slot, hash);
            self.entries.remove(slot);
        }
    }
}

//! The books of one stripe: counters, and holds.

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::counters::{Counters, Place};
use super::entry::{Address, CounterEntry, HoldEntry};
use super::hold::HoldId;
use super::refund_caps::{Caps, RefundCap, RefundCaps};
use super::request::{Change, Charge, Counter, Reserve};
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;

/// Where a counter is sought, and found.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    /// Of the scope.
    pub(super) hash: u64,
    pub(super) stripe: u8,
    /// In the stripe, once it was looked for.
    pub(super) place: Place,
}

/// Counters and holds. Not shared, and told the time.
pub(super) struct Ledger {
    counters: Counters,
    /// Those that are entered here, which may be of counters elsewhere too.
    holds: HashTable<HoldEntry>,
    caps: RefundCaps,
}

impl Ledger {
    /// Empty books, for scopes hashed with `hasher`.
    pub(super) fn new(hasher: RandomState) -> Self {
        let (holds, caps) = (HashTable::new(), RefundCaps::default());
        Self { counters: Counters::new(hasher), holds, caps }
    }

    /// Looks for a counter of these books, and tells what is counted there at `now`.
    pub(super) fn find(
        &mut self,
        seat: &mut Seat,
        counter: &Counter<'_>,
        now: Timestamp,
    ) -> Result<Count, StoreError> {
        seat.place = self.counters.find(seat.hash, counter, now);
        self.counters.count(seat.place, counter, now)
    }

    /// Tells whoever is denied, or would be, when the units fit, where a window rolls.
    pub(super) fn look_ahead(
        &self,
        seat: &Seat,
        charge: &Charge<'_>,
        count: &mut Count,
        units: u64,
    ) {
        let entry = seat.place.slot().and_then(|slot| self.counters.get(slot));
        if let Some(buckets) = entry.and_then(CounterEntry::buckets) {
            let missing = charge.missing(count, units).max(1);
            count.window.end = buckets.come_back_at(missing, count.held);
        }
    }

    /// Takes units of a counter of these books, which was found in them just now, for a hold that will
    /// be entered. The count is brought up to date.
    #[inline]
    pub(super) fn take(
        &mut self,
        seat: &Seat,
        charge: &Charge<'_>,
        count: &mut Count,
        now: Timestamp,
        hold: &mut HoldEntry,
    ) {
        let slot = self.counters.slot(seat.hash, &charge.counter, seat.place, now);
        if let Some(entry) = self.counters.get_mut(slot) {
            let units = charge.counter.limit.measure().held(hold.units);
            entry.holds = entry.holds.saturating_add(1);
            entry.count.held = entry.count.held.saturating_add(units);
            // Only what has changed: to read all of what was just written in parts would stall.
            count.held = entry.count.held;
            if let Some(buckets) = entry.buckets() {
                hold.at = buckets.counts_from(hold.at);
                count.window.end = buckets.come_back_at(1, count.held);
            }
        }
        hold.counters.push(Address::new(seat.stripe, slot));
    }

    pub(super) fn has(&self, id: HoldId) -> bool {
        self.holds.find(id.spread(), |hold| hold.id == id).is_some()
    }

    /// Enters a hold that is not in these books yet, of what was taken of counters for it.
    pub(super) fn enter(&mut self, request: &Reserve<'_>, hold: HoldEntry) {
        for (charge, counter) in request.charges.iter().zip(&hold.counters) {
            if let Some(cap) = charge.refunds {
                self.caps.add(hold.id, RefundCap { counter: *counter, cap });
            }
        }
        self.holds.insert_unique(hold.id.spread(), hold, |hold| hold.id.spread());
    }

    /// Takes out a hold that ends, with its caps.
    pub(super) fn take_out(&mut self, id: HoldId) -> Option<(HoldEntry, Caps)> {
        let found = self.holds.find_entry(id.spread(), |hold| hold.id == id);
        let (hold, _) = found.ok()?.remove();
        Some((hold, self.caps.take(id)))
    }

    #[inline]
    pub(super) fn counter(&mut self, address: Address) -> Option<&mut CounterEntry> {
        self.counters.get_mut(address.slot())
    }

    /// Frees what nobody will miss, a few counters at a time.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.counters.sweep(now);
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
        seat: &Seat,
        counter: &Counter<'_>,
        count: &Count,
        change: Change,
        now: Timestamp,
    ) {
        let used = change.applied_to(count.used);
        if seat.place.slot().is_none() && used == 0 {
            return;
        }
        let slot = self.counters.slot(seat.hash, counter, seat.place, now);
        if let Some(entry) = self.counters.get_mut(slot) {
            entry.set_used(used, now);
        }
    }
}

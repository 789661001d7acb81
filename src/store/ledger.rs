//! The books of one stripe: counters, and holds of them.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::counters::{Counters, Place};
use super::entry::{CounterEntry, HoldEntry};
use super::hold::HoldId;
use super::refund_caps::{RefundCap, RefundCaps};
use super::request::{Change, Charge, Counter, Reserve};
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;

/// Counters and holds. Not shared, and told the time.
pub(super) struct Ledger {
    counters: Counters,
    holds: HashTable<HoldEntry>,
    caps: RefundCaps,
}

/// What is taken of one ledger for a hold, before it is entered.
#[derive(Default)]
pub(super) struct Taken {
    slots: SmallVec<[usize; 2]>,
    /// From when on it counts where a window rolls, if that is later than now.
    at: Option<Timestamp>,
    /// Whether a counter was opened.
    opened: bool,
}

impl Ledger {
    /// Empty books, for scopes hashed with `hasher`.
    pub(super) fn new(hasher: RandomState) -> Self {
        let (holds, caps) = (HashTable::new(), RefundCaps::default());
        Self { counters: Counters::new(hasher), holds, caps }
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
            let (place, count) = self.find(hash, &charge.counter, request.now)?;
            admitted &= charge.admits(&count, request.units);
            places.push(place);
            counts.push(count);
        }
        if self.has(request.id) {
            return Ok(true);
        }
        let each = request.charges.iter().zip(&places).zip(counts);
        if admitted {
            let mut taken = Taken::default();
            for ((charge, place), count) in each {
                self.take(request, charge, *place, count, &mut taken);
            }
            self.enter(request, taken);
        } else {
            for ((charge, place), count) in each {
                self.look_ahead(charge, *place, count, request.units);
            }
        }
        Ok(admitted)
    }

    /// Looks for a counter of a scope with this hash, and tells what is counted there at `now`.
    pub(super) fn find(
        &mut self,
        hash: u64,
        counter: &Counter<'_>,
        now: Timestamp,
    ) -> Result<(Place, Count), StoreError> {
        let place = self.counters.find(hash, counter, now);
        Ok((place, self.counters.count(place, counter, now)?))
    }

    /// Tells whoever is denied, or would be, when the units fit, where a window rolls.
    pub(super) fn look_ahead(
        &self,
        charge: &Charge<'_>,
        place: Place,
        count: &mut Count,
        units: u64,
    ) {
        let entry = place.slot().and_then(|slot| self.counters.get(slot));
        if let Some(buckets) = entry.and_then(CounterEntry::buckets) {
            let missing = charge.missing(count, units).max(1);
            count.window.end = buckets.come_back_at(missing, count.held);
        }
    }

    pub(super) fn has(&self, id: HoldId) -> bool {
        self.holds.find(id.spread(), |hold| hold.id == id).is_some()
    }

    /// Takes units of a counter of these books, which was found in them just now. The count is brought
    /// up to date.
    #[inline]
    pub(super) fn take(
        &mut self,
        request: &Reserve<'_>,
        charge: &Charge<'_>,
        place: Place,
        count: &mut Count,
        taken: &mut Taken,
    ) {
        taken.opened |= place.slot().is_none();
        let slot = self.counters.slot(&charge.counter, place, request.now);
        if let Some(entry) = self.counters.get_mut(slot) {
            let units = charge.counter.limit.measure().held(request.units);
            entry.holds = entry.holds.saturating_add(1);
            entry.count.held = entry.count.held.saturating_add(units);
            // Only what has changed: to read all of what was just written in parts would stall.
            count.held = entry.count.held;
            if let Some(cap) = charge.refunds {
                entry.count_refunds(request.now);
                self.caps.add(request.id, RefundCap { slot, cap });
            }
            if let Some(buckets) = entry.buckets() {
                taken.at = Some(buckets.counts_from(taken.at.unwrap_or(request.now)));
                count.window.end = buckets.come_back_at(1, count.held);
            }
        }
        taken.slots.push(slot);
    }

    /// Enters the hold of what was taken, which is not in these books yet.
    pub(super) fn enter(&mut self, request: &Reserve<'_>, Taken { slots, at, opened }: Taken) {
        let at = at.unwrap_or(request.now);
        let hold = HoldEntry { id: request.id, units: request.units, at, slots };
        self.holds.insert_unique(hold.id.spread(), hold, |hold| hold.id.spread());
        if opened {
            self.counters.sweep(request.now);
        }
    }

    /// Whether a hold may be refunded by what is counted here: all of it, or nothing of it.
    pub(super) fn can_refund(&self, id: HoldId) -> bool {
        let Some(hold) = self.holds.find(id.spread(), |hold| hold.id == id) else { return true };
        self.admit_refund(self.caps.of(id), hold.units)
    }

    /// Whether all of these caps have room for a refund of so many units.
    fn admit_refund(&self, caps: &[RefundCap], units: u64) -> bool {
        caps.iter().all(|&RefundCap { slot, cap }| {
            self.counters.get(slot).is_none_or(|counter| counter.admits_refund(units, cap))
        })
    }

    pub(super) fn settle(&mut self, id: HoldId, spent: Spent) {
        let Ok(entry) = self.holds.find_entry(id.spread(), |hold| hold.id == id) else {
            return;
        };
        let (hold, _) = entry.remove();
        let spent = if self.caps.is_empty() { spent } else { self.decide(&hold, spent) };
        for slot in &hold.slots {
            if let Some(counter) = self.counters.get_mut(*slot) {
                counter.settle(&hold, spent);
                counter.holds = counter.holds.saturating_sub(1);
            }
        }
    }

    /// What is spent of a hold by its caps. A refund of it is counted.
    fn decide(&mut self, hold: &HoldEntry, spent: Spent) -> Spent {
        let caps = self.caps.take(hold.id);
        if spent != Spent::Refund {
            return spent;
        }
        let refunds = self.admit_refund(&caps, hold.units);
        for RefundCap { slot, .. } in caps.iter().filter(|_| refunds) {
            if let Some(counter) = self.counters.get_mut(*slot) {
                counter.add_refund(hold);
            }
        }
        spent.decided(refunds)
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
        counter: &Counter<'_>,
        (place, count): (Place, Count),
        change: Change,
        now: Timestamp,
    ) {
        let used = change.applied_to(count.used);
        if place.slot().is_none() && used == 0 {
            return;
        }
        let slot = self.counters.slot(counter, place, now);
        if let Some(entry) = self.counters.get_mut(slot) {
            entry.set_used(used, now);
        }
    }
}

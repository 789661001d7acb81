//! Books as plain as can be: what books outside of this process have to agree with.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;
use crate::limits::Measure;
use crate::store::{
    Change, Held, HoldId, Lapse, Lease, MAX_COUNT, RemoteChange, RemoteCharge, RemoteCounter,
    RemoteReserve, RemoteSettlement, Renewal,
};

/// The contract of the books, written down once more: without atomicity, records that expire or
/// lapses that are noticed late.
#[derive(Debug)]
pub(super) struct Model {
    lease: Lease,
    used: HashMap<RemoteCounter, Used>,
    /// The last number of each line that a counter has seen.
    seen: HashMap<(RemoteCounter, u64), u64>,
    /// All that are not settled.
    holds: HashMap<HoldId, Hold>,
}

#[derive(Debug)]
struct Hold {
    counters: Vec<RemoteCounter>,
    units: u64,
    lapse: Lapse,
    made_at: Timestamp,
    deadline: Timestamp,
    lapsed: bool,
}

/// What is used, by the step in which it was reserved. Where the window does not roll, there is one.
#[derive(Debug, Default)]
struct Used(BTreeMap<i64, u64>);

impl Used {
    fn sum(&self, counter: &RemoteCounter, now: Timestamp) -> u64 {
        let gone = counter.limit.rolling().map_or(i64::MIN, |rolling| rolling.bucket(now) - 61);
        self.0.iter().filter(|(step, _)| **step > gone).map(|(_, units)| units).sum()
    }

    /// Adds what was spent, and takes back what was charged before.
    fn correct(&mut self, step: i64, spent: u64, charged: u64) {
        let used = self.0.entry(step).or_default();
        *used = used.saturating_add(spent).min(MAX_COUNT).saturating_sub(charged);
    }

    fn change(&mut self, change: Change, step: i64) {
        match change {
            Change::Debit(units) => self.correct(step, units, 0),
            Change::Credit(mut units) => {
                for used in self.0.values_mut().rev() {
                    let taken = units.min(*used);
                    *used -= taken;
                    units -= taken;
                }
            }
            Change::Reset => self.0.clear(),
        }
    }
}

/// In which step of its window an instant is.
fn step(counter: &RemoteCounter, at: Timestamp) -> i64 {
    counter.limit.rolling().map_or(0, |rolling| rolling.bucket(at))
}

impl Model {
    pub(super) fn new(lease: Lease) -> Self {
        Self { lease, used: HashMap::new(), seen: HashMap::new(), holds: HashMap::new() }
    }

    /// Lets everything lapse whose lease is over.
    pub(super) fn pass(&mut self, now: Timestamp) {
        for hold in self.holds.values_mut().filter(|hold| hold.deadline <= now && !hold.lapsed) {
            hold.lapsed = true;
            if hold.lapse == Lapse::Charge {
                for counter in hold.counters.iter().filter(|counter| is_spent(counter)) {
                    let used = self.used.entry(counter.clone()).or_default();
                    used.correct(step(counter, hold.made_at), hold.units_of(counter), 0);
                }
            }
        }
    }

    pub(super) fn is_live(&self, id: HoldId) -> bool {
        self.holds.get(&id).is_some_and(|hold| !hold.lapsed)
    }

    /// Whether a hold's record may be gone. Whether it is, nobody knows.
    pub(super) fn is_forgotten(&self, id: HoldId, now: Timestamp) -> bool {
        let record = self.holds.get(&id);
        record.is_some_and(|hold| hold.deadline.saturating_add(self.lease.keep) <= now)
    }

    /// Whether a window has been over for so long that to ask for it is an error.
    pub(super) fn is_over(&self, counter: &RemoteCounter, now: Timestamp) -> bool {
        counter.window.end.saturating_add(self.lease.keep) <= now
    }

    pub(super) fn reserve(
        &mut self,
        request: &RemoteReserve,
        now: Timestamp,
    ) -> Result<Held, StoreError> {
        if now > request.not_after || request.not_after > now.saturating_add(request.patience) {
            return Ok(Held::Stale);
        }
        self.check(request.charges.iter().map(|charge| &charge.counter), now)?;
        if !self.holds.contains_key(&request.id) {
            if !request.charges.iter().all(|charge| self.admits(charge, request.units, now)) {
                return Ok(Held::Denied(self.told(&request.charges, now)));
            }
            let counters = request.charges.iter().map(|charge| charge.counter.clone());
            let hold = Hold {
                counters: counters.collect(),
                units: request.units,
                lapse: request.lapse,
                made_at: now,
                deadline: now.saturating_add(self.lease.length),
                lapsed: false,
            };
            self.holds.insert(request.id, hold);
        }
        Ok(Held::Granted(self.told(&request.charges, now)))
    }

    /// The ids of those that come too early.
    pub(super) fn settle(&mut self, batch: &[RemoteSettlement], now: Timestamp) -> Vec<HoldId> {
        let mut early = Vec::new();
        for settlement in batch {
            if settlement.after.is_some_and(|after| now <= after) {
                early.push(settlement.id);
                continue;
            }
            let Some(hold) = self.holds.remove(&settlement.id) else { continue };
            let charged = hold.lapsed && hold.lapse == Lapse::Charge;
            for counter in hold.counters.iter().filter(|counter| is_spent(counter)) {
                let units = hold.units_of(counter);
                let spent = match settlement.spent {
                    Spent::Nothing => 0,
                    _ if counter.limit.measure() == Measure::Requests => 1,
                    spent => spent.units(units),
                };
                let charged = if charged { units } else { 0 };
                let used = self.used.entry(counter.clone()).or_default();
                used.correct(step(counter, hold.made_at), spent, charged);
            }
        }
        early
    }

    pub(super) fn renew(&mut self, batch: &[Renewal], now: Timestamp) {
        for renewal in batch {
            if let Some(hold) = self.holds.get_mut(&renewal.id).filter(|hold| !hold.lapsed) {
                hold.deadline = hold.deadline.max(now.saturating_add(self.lease.length));
            }
        }
    }

    pub(super) fn change(
        &mut self,
        change: &RemoteChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.check(change.counters.iter(), now)?;
        for counter in &change.counters {
            let seen = self.seen.entry((counter.clone(), change.nonce)).or_default();
            if *seen < change.sequence {
                *seen = change.sequence;
                let used = self.used.entry(counter.clone()).or_default();
                used.change(change.change, step(counter, now));
            }
        }
        Ok(())
    }

    pub(super) fn count(&self, counter: &RemoteCounter, now: Timestamp) -> Count {
        let live = self.holds.values().filter(|hold| !hold.lapsed);
        let held = live.filter(|hold| hold.counters.contains(counter));
        let held = held.map(|hold| hold.units_of(counter)).sum();
        let used = self.used.get(counter).map_or(0, |used| used.sum(counter, now));
        Count { used, held, window: counter.window }
    }

    fn told(&self, charges: &[RemoteCharge], now: Timestamp) -> Counts {
        charges.iter().map(|charge| self.count(&charge.counter, now)).collect()
    }

    fn admits(&self, charge: &RemoteCharge, units: u64, now: Timestamp) -> bool {
        let Count { used, held, .. } = self.count(&charge.counter, now);
        let units = units_of(&charge.counter, units);
        let below_ceiling = charge.ceiling.is_none_or(|ceiling| used + held + units <= ceiling);
        below_ceiling && held + units <= MAX_COUNT
    }

    fn check<'a>(
        &self,
        mut counters: impl Iterator<Item = &'a RemoteCounter>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match counters.find(|counter| self.is_over(counter, now)) {
            Some(counter) => Err(StoreError::clock_skew(counter.window.end)),
            None => Ok(()),
        }
    }
}

impl Hold {
    fn units_of(&self, counter: &RemoteCounter) -> u64 {
        units_of(counter, self.units)
    }
}

/// What is held of a counter by a hold of so many units.
fn units_of(counter: &RemoteCounter, units: u64) -> u64 {
    if counter.limit.measure() == Measure::Units { units } else { 1 }
}

fn is_spent(counter: &RemoteCounter) -> bool {
    counter.limit.measure() != Measure::InFlight
}

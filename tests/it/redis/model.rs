//! The simplest books that keep the contract: all in the open, and always up to date.

use std::collections::{BTreeMap, HashMap};

use tower_quota::store::{
    Change, Held, HoldId, Lapse, Lease, RemoteChange, RemoteCounter, RemoteReserve,
    RemoteSettlement, Renewal,
};
use tower_quota::{Count, Timestamp};

#[derive(Clone, Copy, Debug)]
struct Hold {
    units: u64,
    lapse: Lapse,
    deadline: Timestamp,
    lapsed: bool,
}

#[derive(Debug, Default)]
struct Counter {
    used: u64,
    holds: BTreeMap<u64, Hold>,
    seen: HashMap<u64, u64>,
}

impl Counter {
    fn held(&self) -> u64 {
        self.holds.values().filter(|hold| !hold.lapsed).map(|hold| hold.units).sum()
    }
}

/// What is known of all counters.
#[derive(Debug)]
pub(super) struct Model {
    lease: Lease,
    counters: HashMap<RemoteCounter, Counter>,
    /// When something last lapsed or was forgotten. The clock is not set back further: books notice
    /// such things when they like, and do not undo them.
    no_way_back: Timestamp,
}

/// What is expected of a reserve.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Held(Held),
    ClockSkew,
}

impl Model {
    pub(super) fn new(lease: Lease) -> Self {
        Self { lease, counters: HashMap::new(), no_way_back: Timestamp::MIN }
    }

    pub(super) fn is_over(&self, counter: &RemoteCounter, now: Timestamp) -> bool {
        counter.window.resets_at().is_some_and(|end| end.saturating_add(self.lease.keep) <= now)
    }

    /// Time has come to `now`.
    pub(super) fn pass(&mut self, now: Timestamp) {
        let keep = self.lease.keep;
        for counter in self.counters.values_mut() {
            for hold in counter.holds.values_mut() {
                if !hold.lapsed && hold.deadline <= now {
                    hold.lapsed = true;
                    self.no_way_back = self.no_way_back.max(hold.deadline);
                    if hold.lapse == Lapse::Charge {
                        counter.used += hold.units;
                    }
                }
            }
            counter.holds.retain(|_, hold| {
                let forgotten = hold.deadline.saturating_add(keep);
                if forgotten <= now {
                    self.no_way_back = self.no_way_back.max(forgotten);
                }
                forgotten > now
            });
        }
    }

    pub(super) fn no_way_back(&self) -> Timestamp {
        self.no_way_back
    }

    pub(super) fn count(&self, of: &RemoteCounter) -> Count {
        let (used, held) =
            self.counters.get(of).map_or((0, 0), |counter| (counter.used, counter.held()));
        Count { used, held, window: of.window }
    }

    pub(super) fn has(&self, id: HoldId) -> bool {
        self.counters.values().any(|counter| counter.holds.contains_key(&id.sequence))
    }

    pub(super) fn reserve(&mut self, request: &RemoteReserve, now: Timestamp) -> Expected {
        let latest = now.saturating_add(request.patience);
        if now > request.not_after || request.not_after > latest {
            return Expected::Held(Held::Stale);
        }
        if request.charges.iter().any(|charge| self.is_over(&charge.counter, now)) {
            return Expected::ClockSkew;
        }
        let admitted = request.charges.iter().all(|charge| {
            let count = self.count(&charge.counter);
            charge.ceiling.is_none_or(|ceiling| count.used + count.held + request.units <= ceiling)
        });
        let repeated = self.has(request.id);
        if admitted && !repeated {
            let deadline = now.saturating_add(self.lease.length);
            let (units, lapse) = (request.units, request.lapse);
            let hold = Hold { units, lapse, deadline, lapsed: false };
            for charge in &*request.charges {
                let counter = self.counters.entry(charge.counter.clone()).or_default();
                counter.holds.insert(request.id.sequence, hold);
            }
        }
        let counts = request.charges.iter().map(|charge| self.count(&charge.counter)).collect();
        Expected::Held(if admitted || repeated {
            Held::Granted(counts)
        } else {
            Held::Denied(counts)
        })
    }

    /// Whether it was due.
    pub(super) fn settle(&mut self, settlement: &RemoteSettlement, now: Timestamp) -> bool {
        if settlement.after.is_some_and(|after| now <= after) {
            return false;
        }
        for charge in &*settlement.counters {
            let Some(counter) = self.counters.get_mut(&charge.counter) else { continue };
            let Some(hold) = counter.holds.remove(&settlement.id.sequence) else { continue };
            counter.used += settlement.spent.units(hold.units);
            if hold.lapsed && hold.lapse == Lapse::Charge {
                counter.used = counter.used.saturating_sub(hold.units);
            }
        }
        true
    }

    pub(super) fn renew(&mut self, renewal: &Renewal, now: Timestamp) {
        let deadline = now.saturating_add(self.lease.length);
        for charge in &*renewal.counters {
            let Some(counter) = self.counters.get_mut(&charge.counter) else { continue };
            if let Some(hold) = counter.holds.get_mut(&renewal.id.sequence) {
                if !hold.lapsed {
                    hold.deadline = hold.deadline.max(deadline);
                }
            }
        }
    }

    /// Whether the clock allowed it.
    pub(super) fn change(&mut self, change: &RemoteChange, now: Timestamp) -> bool {
        if change.counters.iter().any(|counter| self.is_over(counter, now)) {
            return false;
        }
        for counter in &change.counters {
            let counter = self.counters.entry(counter.clone()).or_default();
            let used = match change.change {
                Change::Debit(units) => counter.used + units,
                Change::Credit(units) => counter.used.saturating_sub(units),
                Change::Reset => 0,
            };
            let seen = counter.seen.get(&change.nonce).copied().unwrap_or(0);
            if change.sequence <= seen {
                continue;
            }
            counter.used = used;
            counter.seen.insert(change.nonce, change.sequence);
        }
        true
    }
}

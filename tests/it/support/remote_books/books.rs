//! Plain books outside of the process, without an opinion on windows: what a wire leads to.

use std::collections::HashMap;

use tokio::time::Instant;
use tower_quota::store::{
    Held, HoldId, Lapse, Lease, RemoteChange, RemoteCounter, RemoteOpening, RemoteReserve,
    RemoteSettlement, RemoteVerdict, Renewal,
};
use tower_quota::{Count, Span, Timestamp};

use crate::support::at;

/// Counters and holds, kept by a clock that goes with tokio's.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) lease: Lease,
    started: Instant,
    /// How many milliseconds more the clock shows.
    pub(super) ahead: i64,
    pub(super) counters: HashMap<Vec<u8>, Count>,
    holds: HashMap<HoldId, Hold>,
    /// The last change of a line that a counter has seen.
    seen: HashMap<(Vec<u8>, u64), u64>,
    windows: HashMap<Vec<u8>, Span>,
    pub(super) settled: Vec<HoldId>,
}

#[derive(Debug)]
struct Hold {
    keys: Vec<Vec<u8>>,
    units: u64,
    lapse: Lapse,
    deadline: Timestamp,
    live: bool,
}

impl Books {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            lease,
            started: Instant::now(),
            ahead: 0,
            counters: HashMap::new(),
            holds: HashMap::new(),
            seen: HashMap::new(),
            windows: HashMap::new(),
            settled: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        let start = Timestamp::from(at("2026-11-24T15:00:00Z"));
        let now = start.saturating_add(self.started.elapsed());
        Timestamp::from_millis(now.as_millis() + self.ahead)
    }

    pub(super) fn count(&self, counter: &RemoteCounter) -> Count {
        let count = self.counters.get(&counter.key()).copied();
        count.unwrap_or(Count::unused(counter.window))
    }

    pub(super) fn open(&mut self, RemoteOpening { counter, after }: &RemoteOpening) -> Span {
        let last = self.last(counter).filter(|last| last.end > *after);
        let window = last.unwrap_or(counter.window);
        self.windows.insert(counter.key_of_all_windows(), window);
        window
    }

    pub(super) fn last(&self, counter: &RemoteCounter) -> Option<Span> {
        self.windows.get(&counter.key_of_all_windows()).copied()
    }

    pub(super) fn lapse(&mut self) {
        let now = self.now();
        for hold in self.holds.values_mut().filter(|hold| hold.live && hold.deadline <= now) {
            hold.live = false;
            for key in &hold.keys {
                let count = self.counters.get_mut(key).unwrap();
                count.held -= hold.units;
                count.used += if hold.lapse == Lapse::Charge { hold.units } else { 0 };
            }
        }
    }

    pub(super) fn reserve(&mut self, request: &RemoteReserve) -> RemoteVerdict {
        let now = self.now();
        RemoteVerdict { held: self.hold(request, now), now }
    }

    fn hold(&mut self, request: &RemoteReserve, now: Timestamp) -> Held {
        let furthest = now.saturating_add(request.patience);
        if now > request.not_after || request.not_after > furthest {
            return Held::Stale;
        }
        let charges = request.charges.iter();
        let counts = charges.clone().map(|charge| self.count(&charge.counter));
        if !self.holds.contains_key(&request.id) {
            let mut each = charges.clone().zip(counts.clone());
            let ceiling = |ceiling: Option<u64>| ceiling.unwrap_or(u64::MAX);
            if !each.all(|(charge, count)| count.admits(request.units, ceiling(charge.ceiling))) {
                return Held::Denied(counts.collect());
            }
            let deadline = now.saturating_add(self.lease.length);
            let keys: Vec<_> = charges.clone().map(|charge| charge.counter.key()).collect();
            for charge in charges.clone() {
                let unused = Count::unused(charge.counter.window);
                self.counters.entry(charge.counter.key()).or_insert(unused).held += request.units;
            }
            let (units, lapse) = (request.units, request.lapse);
            self.holds.insert(request.id, Hold { keys, units, lapse, deadline, live: true });
        }
        Held::Granted(charges.map(|charge| self.count(&charge.counter)).collect())
    }

    pub(super) fn settle(&mut self, batch: &[RemoteSettlement]) -> Vec<HoldId> {
        assert!(batch.len() <= 256);
        let now = self.now();
        let mut early = Vec::new();
        for settlement in batch {
            if settlement.after.is_some_and(|after| now <= after) {
                early.push(settlement.id);
                continue;
            }
            let Some(hold) = self.holds.remove(&settlement.id) else { continue };
            self.settled.push(settlement.id);
            for key in &hold.keys {
                let count = self.counters.get_mut(key).unwrap();
                if hold.live {
                    count.held -= hold.units;
                } else if hold.lapse == Lapse::Charge {
                    count.used -= hold.units;
                }
                count.used += settlement.spent.units(hold.units);
            }
        }
        early
    }

    pub(super) fn renew(&mut self, batch: &[Renewal]) {
        let deadline = self.now().saturating_add(self.lease.length);
        for renewal in batch {
            if let Some(hold) = self.holds.get_mut(&renewal.id).filter(|hold| hold.live) {
                hold.deadline = deadline;
            }
        }
    }

    pub(super) fn change(&mut self, change: &RemoteChange) {
        for counter in &change.counters {
            let line = (counter.key(), change.nonce);
            let seen = self.seen.entry(line).or_default();
            if *seen < change.sequence {
                *seen = change.sequence;
                let unused = Count::unused(counter.window);
                let count = self.counters.entry(counter.key()).or_insert(unused);
                count.used = change.change.applied_to(count.used);
            }
        }
    }

    /// Deletes records of lapsed holds.
    pub(super) fn sweep(&mut self, at_most: u32) -> u32 {
        let lapsed = self.holds.iter().filter(|(_, hold)| !hold.live).map(|(id, _)| *id);
        let lapsed: Vec<HoldId> = lapsed.take(at_most as usize).collect();
        for id in &lapsed {
            self.holds.remove(id);
        }
        u32::try_from(lapsed.len()).unwrap()
    }
}

//! Books as plain as can be: the contract of `RemoteBooks`, in maps.

use std::collections::BTreeMap;

use tower_quota::store::{
    HoldId, Lapse, Lease, MAX_COUNT, RemoteChange, RemoteCounter, RemoteReserve, RemoteSettlement,
    Renewal,
};
use tower_quota::{Count, Timestamp};

type Key = Vec<u8>;
type Name = (Key, u64);

#[derive(Debug)]
struct Hold {
    units: u64,
    lapse: Lapse,
    deadline: Timestamp,
    /// Somebody has seen that it has lapsed: a clock that is set back does not revive it.
    lapsed: bool,
}

/// What the books should say.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Granted(Vec<Count>),
    Denied(Vec<Count>),
    Stale,
    Skewed,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) lease: Lease,
    used: BTreeMap<Key, u64>,
    holds: BTreeMap<Name, Hold>,
    lines: BTreeMap<Name, u64>,
}

impl Model {
    pub(super) fn new(lease: Lease) -> Self {
        Self { lease, used: BTreeMap::new(), holds: BTreeMap::new(), lines: BTreeMap::new() }
    }

    pub(super) fn is_skewed(&self, counter: &RemoteCounter, now: Timestamp) -> bool {
        counter.window.end.saturating_add(self.lease.keep) <= now
    }

    pub(super) fn count(&self, counter: &RemoteCounter, now: Timestamp) -> Count {
        let key = counter.key();
        let mut count = Count::unused(counter.window);
        count.used = self.used.get(&key).copied().unwrap_or(0);
        let unseen = |((of, _), hold): &(&Name, &Hold)| *of == key && !hold.lapsed;
        for (_, hold) in self.holds.iter().filter(unseen) {
            if now < hold.deadline {
                count.held += hold.units;
            } else if hold.lapse == Lapse::Charge {
                count.used = capped(count.used.saturating_add(hold.units));
            }
        }
        count
    }

    pub(super) fn reserve(&mut self, request: &RemoteReserve, now: Timestamp) -> Said {
        let counters: Vec<_> = request.charges.iter().map(|charge| &charge.counter).collect();
        self.notice(counters.iter().copied(), now);
        let latest = now.saturating_add(request.patience);
        if now > request.not_after || request.not_after > latest {
            return Said::Stale;
        }
        if counters.iter().any(|counter| self.is_skewed(counter, now)) {
            return Said::Skewed;
        }
        let counts = |model: &Self| -> Vec<_> {
            counters.iter().map(|counter| model.count(counter, now)).collect()
        };
        let names: Vec<_> =
            counters.iter().map(|counter| (counter.key(), request.id.sequence)).collect();
        if names.iter().any(|name| self.holds.contains_key(name)) {
            return Said::Granted(counts(self));
        }
        let admits = |(charge, count): (&tower_quota::store::RemoteCharge, Count)| {
            let total = u128::from(count.used) + u128::from(count.held) + u128::from(request.units);
            charge.ceiling.is_none_or(|ceiling| total <= u128::from(ceiling))
        };
        if !request.charges.iter().zip(counts(self)).all(admits) {
            return Said::Denied(counts(self));
        }
        for name in names {
            let (units, lapse) = (request.units, request.lapse);
            let deadline = now.saturating_add(self.lease.length);
            self.holds.insert(name, Hold { units, lapse, deadline, lapsed: false });
        }
        Said::Granted(counts(self))
    }

    /// The ids that came too early.
    pub(super) fn settle(&mut self, batch: &[RemoteSettlement], now: Timestamp) -> Vec<HoldId> {
        let all = batch.iter().flat_map(|settlement| &*settlement.counters);
        self.notice(all.map(|charge| &charge.counter), now);
        let mut early = Vec::new();
        for settlement in batch {
            if settlement.after.is_some_and(|after| now <= after) {
                early.push(settlement.id);
                continue;
            }
            for charge in &*settlement.counters {
                let key = charge.counter.key();
                let name = (key.clone(), settlement.id.sequence);
                let Some(hold) = self.holds.remove(&name) else { continue };
                let charged = match hold.lapse {
                    Lapse::Charge if hold.lapsed => hold.units,
                    _ => 0,
                };
                let used = self.used.entry(key).or_default();
                *used = used.saturating_add(settlement.spent.units(hold.units));
                *used = capped(used.saturating_sub(charged));
            }
        }
        early
    }

    pub(super) fn renew(&mut self, batch: &[Renewal], now: Timestamp) {
        for renewal in batch {
            self.notice(renewal.counters.iter().map(|charge| &charge.counter), now);
            for charge in &*renewal.counters {
                let name = (charge.counter.key(), renewal.id.sequence);
                if let Some(hold) = self.holds.get_mut(&name).filter(|hold| !hold.lapsed) {
                    hold.deadline = hold.deadline.max(now.saturating_add(self.lease.length));
                }
            }
        }
    }

    /// Whether the change is made, now or before.
    pub(super) fn change(&mut self, change: &RemoteChange, now: Timestamp) -> bool {
        self.notice(change.counters.iter(), now);
        if change.counters.iter().any(|counter| self.is_skewed(counter, now)) {
            return false;
        }
        for counter in &change.counters {
            let seen = self.lines.entry((counter.key(), change.nonce)).or_default();
            if *seen < change.sequence {
                *seen = change.sequence;
                let used = self.used.entry(counter.key()).or_default();
                *used = capped(change.change.applied_to(*used));
            }
        }
        true
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.notice_if(|_| true, now);
        let keep = self.lease.keep;
        self.holds.retain(|_, hold| !hold.lapsed || hold.deadline.saturating_add(keep) > now);
    }

    fn notice<'a>(&mut self, counters: impl Iterator<Item = &'a RemoteCounter>, now: Timestamp) {
        let keys: Vec<_> = counters.map(RemoteCounter::key).collect();
        self.notice_if(|key| keys.contains(key), now);
    }

    fn notice_if(&mut self, seen: impl Fn(&Key) -> bool, now: Timestamp) {
        for ((key, _), hold) in self.holds.iter_mut().filter(|((key, _), _)| seen(key)) {
            if !hold.lapsed && hold.deadline <= now {
                hold.lapsed = true;
                if hold.lapse == Lapse::Charge {
                    let used = self.used.entry(key.clone()).or_default();
                    *used = capped(used.saturating_add(hold.units));
                }
            }
        }
    }
}

fn capped(used: u64) -> u64 {
    used.min(MAX_COUNT)
}

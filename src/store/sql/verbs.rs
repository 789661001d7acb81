//! The verbs of the books, on a draft.

use super::draft::{Draft, HoldPage, Key, LinePage, Wanted};
use super::rows::{HoldRow, to_count};
use crate::clock::Timestamp;
use crate::count::{Count, Counts};
use crate::error::StoreError;
use crate::store::books::{
    Held, Lease, MAX_COUNT, RemoteChange, RemoteCharge, RemoteCounter, RemoteReserve,
    RemoteSettlement, RemoteVerdict, Renewal,
};
use crate::store::hold::HoldId;

/// What is done in a transaction, alone or with others.
pub(crate) trait Verb: Send + Sync {
    /// What it answers.
    type Answer: Send;

    /// Its name in errors.
    const NAME: &'static str;

    /// Adds what it is going to need.
    fn want(&self, wanted: &mut Wanted);

    /// Does it. On an error, the draft is as before.
    fn apply(&self, draft: &mut Draft) -> Result<Self::Answer, StoreError>;
}

impl Verb for RemoteReserve {
    type Answer = RemoteVerdict;

    const NAME: &'static str = "reserve";

    fn want(&self, wanted: &mut Wanted) {
        for charge in &*self.charges {
            let key = wanted.counter(&charge.counter);
            wanted.holds.push((key, self.id));
        }
    }

    fn apply(&self, draft: &mut Draft) -> Result<RemoteVerdict, StoreError> {
        let now = draft.now;
        if is_stale(self, now) {
            return Ok(RemoteVerdict { held: Held::Stale, now });
        }
        for charge in &*self.charges {
            check_open(&charge.counter, draft.lease, now)?;
        }
        let (mut admitted, mut repeated) = (true, false);
        for charge in &*self.charges {
            let name = (Key::from(charge.counter.key()), self.id);
            let count = count(draft, &name.0, &charge.counter);
            admitted &= admits(charge, &count, self.units);
            repeated |= draft.holds.get(&name).is_some_and(|hold| hold.row.is_some());
        }
        if admitted && !repeated {
            hold(draft, self);
        }
        let counts = counts(draft, &self.charges);
        let held = if admitted || repeated { Held::Granted(counts) } else { Held::Denied(counts) };
        Ok(RemoteVerdict { held, now })
    }
}

/// Whether whoever sent it has given up, or is wrong about the books' clock.
pub(crate) fn is_stale(request: &RemoteReserve, now: Timestamp) -> bool {
    now > request.not_after || now.saturating_add(request.patience) < request.not_after
}

/// Fails if a counter may have been forgotten.
pub(crate) fn check_open(
    counter: &RemoteCounter,
    lease: Lease,
    now: Timestamp,
) -> Result<(), StoreError> {
    let end = counter.window.end;
    if end.saturating_add(lease.keep) <= now {
        return Err(StoreError::clock_skew(end));
    }
    Ok(())
}

fn admits(charge: &RemoteCharge, count: &Count, units: u64) -> bool {
    let can_be_counted = count.held.checked_add(units).is_some_and(|held| held <= MAX_COUNT);
    can_be_counted && charge.ceiling.is_none_or(|ceiling| count.admits(units, ceiling))
}

fn hold(draft: &mut Draft, request: &RemoteReserve) {
    let row = HoldRow {
        units: to_count(request.units),
        lapse: request.lapse,
        deadline: draft.now.saturating_add(draft.lease.length),
        marked: false,
    };
    for charge in &*request.charges {
        let key = Key::from(charge.counter.key());
        if let Some(page) = draft.counters.get_mut(&key) {
            page.row.hold(&row);
            page.changed = true;
        }
        let page = draft.holds.entry((key, request.id)).or_insert(HoldPage::NONE);
        page.row = Some(row.clone());
    }
}

fn counts(draft: &Draft, charges: &[RemoteCharge]) -> Counts {
    let counters = charges.iter().map(|charge| &charge.counter);
    counters.map(|counter| count(draft, &Key::from(counter.key()), counter)).collect()
}

fn count(draft: &Draft, key: &Key, counter: &RemoteCounter) -> Count {
    let unused = Count::unused(counter.window);
    draft.counters.get(key).map_or(unused, |page| page.row.count(counter.window))
}

impl Verb for Vec<RemoteSettlement> {
    type Answer = Vec<HoldId>;

    const NAME: &'static str = "settle";

    fn want(&self, wanted: &mut Wanted) {
        for settlement in self {
            for charge in &*settlement.counters {
                wanted.hold(&charge.counter, settlement.id);
            }
        }
    }

    fn apply(&self, draft: &mut Draft) -> Result<Vec<HoldId>, StoreError> {
        let mut early = Vec::new();
        for settlement in self {
            if settlement.after.is_some_and(|after| draft.now <= after) {
                early.push(settlement.id);
            } else {
                settle(draft, settlement);
            }
        }
        Ok(early)
    }
}

fn settle(draft: &mut Draft, settlement: &RemoteSettlement) {
    for charge in &*settlement.counters {
        let name = (Key::from(charge.counter.key()), settlement.id);
        let Some(hold) = draft.holds.get_mut(&name).and_then(|page| page.row.take()) else {
            continue;
        };
        if let Some(page) = draft.counters.get_mut(&name.0) {
            page.row.settle(&hold, settlement.spent, draft.now);
            page.changed = true;
        }
    }
}

impl Verb for Vec<Renewal> {
    type Answer = ();

    const NAME: &'static str = "renew";

    fn want(&self, wanted: &mut Wanted) {
        for renewal in self {
            for charge in &*renewal.counters {
                wanted.hold(&charge.counter, renewal.id);
            }
        }
    }

    fn apply(&self, draft: &mut Draft) -> Result<(), StoreError> {
        let now = draft.now;
        let deadline = now.saturating_add(draft.lease.length);
        for renewal in self {
            for charge in &*renewal.counters {
                let name = (Key::from(charge.counter.key()), renewal.id);
                let row = draft.holds.get_mut(&name).and_then(|page| page.row.as_mut());
                if let Some(row) = row.filter(|row| row.is_live(now)) {
                    row.deadline = row.deadline.max(deadline);
                }
            }
        }
        Ok(())
    }
}

impl Verb for RemoteChange {
    type Answer = ();

    const NAME: &'static str = "change";

    fn want(&self, wanted: &mut Wanted) {
        for counter in &self.counters {
            let key = wanted.counter(counter);
            wanted.lines.push((key, self.nonce));
        }
    }

    fn apply(&self, draft: &mut Draft) -> Result<(), StoreError> {
        for counter in &self.counters {
            check_open(counter, draft.lease, draft.now)?;
        }
        for counter in &self.counters {
            let line = (Key::from(counter.key()), self.nonce);
            if draft.lines.get(&line).is_some_and(|seen| seen.sequence >= self.sequence) {
                continue;
            }
            if let Some(page) = draft.counters.get_mut(&line.0) {
                let used = page.row.count(counter.window).used;
                page.row.set_used(self.change.applied_to(used));
                page.changed = true;
            }
            draft.lines.insert(line, LinePage { sequence: self.sequence, changed: true });
        }
        Ok(())
    }
}

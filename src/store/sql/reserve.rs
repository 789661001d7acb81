//! Holding units of counters.

use super::draft::{Draft, HoldPage, Key, Wanted};
use super::rows::{CounterRow, HoldRow, to_count};
use super::verbs::{Verb, check_open};
use crate::clock::Timestamp;
use crate::count::{Count, Counts};
use crate::error::StoreError;
use crate::store::books::{Held, RemoteCharge, RemoteCounter, RemoteReserve, RemoteVerdict};

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
            admitted &= charge.admits(&count, self.units);
            repeated |= draft.holds.get(&name).is_some_and(|hold| hold.row.is_some());
        }
        if admitted && !repeated {
            hold(draft, self);
        }
        let held = if admitted || repeated {
            Held::Granted(counts(draft, self, |row, charge| row.count(charge.counter.window)))
        } else {
            Held::Denied(counts(draft, self, |row, charge| row.count_for(charge, self.units)))
        };
        Ok(RemoteVerdict { held, now })
    }
}

/// Whether whoever sent it has given up, or is wrong about the books' clock.
fn is_stale(request: &RemoteReserve, now: Timestamp) -> bool {
    now > request.not_after || now.saturating_add(request.patience) < request.not_after
}

fn hold(draft: &mut Draft, request: &RemoteReserve) {
    let deadline = draft.now.saturating_add(draft.lease.length);
    for charge in &*request.charges {
        let key = Key::from(charge.counter.key());
        let Some(page) = draft.counters.get_mut(&key) else { continue };
        page.row.roll(charge.counter.limit.rolling(), draft.now);
        let row = HoldRow {
            units: to_count(charge.units(request.units)),
            lapse: charge.lapse(request.lapse),
            deadline,
            marked: false,
            made_at: page.row.counts_from(draft.now),
        };
        page.row.hold(&row);
        page.changed = true;
        draft.holds.entry((key, request.id)).or_insert(HoldPage::NONE).row = Some(row);
    }
}

fn counts(
    draft: &Draft,
    request: &RemoteReserve,
    told: impl Fn(&CounterRow, &RemoteCharge) -> Count,
) -> Counts {
    let told = |charge: &RemoteCharge| {
        let page = draft.counters.get(charge.counter.key().as_slice());
        page.map_or(Count::unused(charge.counter.window), |page| told(&page.row, charge))
    };
    request.charges.iter().map(told).collect()
}

fn count(draft: &Draft, key: &Key, counter: &RemoteCounter) -> Count {
    let unused = Count::unused(counter.window);
    draft.counters.get(key).map_or(unused, |page| page.row.count(counter.window))
}

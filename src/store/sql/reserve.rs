//! Holding units of counters.

use super::draft::{Draft, HoldPage, Key, Wanted};
use super::rows::{HoldRow, to_count};
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
        let counts = counts(draft, &self.charges);
        let held = if admitted || repeated { Held::Granted(counts) } else { Held::Denied(counts) };
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
        let row = HoldRow {
            units: to_count(charge.units(request.units)),
            lapse: charge.lapse(request.lapse),
            deadline,
            marked: false,
        };
        let key = Key::from(charge.counter.key());
        if let Some(page) = draft.counters.get_mut(&key) {
            page.row.hold(&row);
            page.changed = true;
        }
        let page = draft.holds.entry((key, request.id)).or_insert(HoldPage::NONE);
        page.row = Some(row);
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

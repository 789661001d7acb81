//! The verbs of the books, on a draft. `reserve` has a file of its own.

use super::draft::{Draft, Key, LinePage, Wanted, WindowPage};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::limits::Span;
use crate::store::books::{
    Lease, RemoteChange, RemoteCounter, RemoteOpening, RemoteSettlement, Renewal,
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

impl Verb for Vec<RemoteSettlement> {
    type Answer = Vec<HoldId>;

    const NAME: &'static str = "settle";

    fn want(&self, wanted: &mut Wanted) {
        for settlement in self {
            for charge in &*settlement.counters {
                if settlement.after.is_some() {
                    // Whoever is still making it, with the hold, cannot be seen, but is waited for
                    // by whoever makes it as well.
                    wanted.counter(&charge.counter);
                }
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
            page.row.settle(&hold, charge.spent(settlement.spent), draft.now);
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
                page.row.roll(counter.limit.rolling(), draft.now);
                page.row.change(self.change, draft.now);
                page.changed = true;
            }
            draft.lines.insert(line, LinePage { sequence: self.sequence, changed: true });
        }
        Ok(())
    }
}

impl Verb for RemoteOpening {
    type Answer = Span;

    const NAME: &'static str = "open a window";

    fn want(&self, wanted: &mut Wanted) {
        wanted.windows.push(self.counter.key_of_all_windows().into());
    }

    fn apply(&self, draft: &mut Draft) -> Result<Span, StoreError> {
        self.check_clock(draft.now, draft.lease)?;
        let key = Key::from(self.counter.key_of_all_windows());
        if let Some(last) = draft.windows.get(&key).filter(|last| last.window.end > self.after) {
            return Ok(last.window);
        }
        let (window, known_until) = (self.counter.window, Some(self.counter.known_until()));
        draft.windows.insert(key, WindowPage { window, known_until });
        Ok(window)
    }
}

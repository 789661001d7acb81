//! One counter of plain books.

use std::collections::{BTreeMap, HashMap};

use tower_quota::store::{Change, HoldId, Lapse, MAX_COUNT, RemoteCharge, RemoteCounter};
use tower_quota::{Buckets, Spent, Timestamp};

/// How many lapsed holds are noticed at a time.
const NOTICED_AT_ONCE: usize = 100;

/// One counter.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) used: u64,
    /// What makes that up, where the window rolls.
    pub(super) buckets: Option<Buckets>,
    /// Units of the holds that are not known to have lapsed.
    pub(super) held: u64,
    pub(super) ends_at: Timestamp,
    pub(super) entries: HashMap<HoldId, Entry>,
    /// The last number of each line of changes.
    pub(super) seen: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) units: u64,
    pub(super) lapse: Lapse,
    pub(super) made_at: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) lapsed: bool,
}

impl Page {
    pub(super) fn new(counter: &RemoteCounter, now: Timestamp) -> Self {
        Self {
            used: 0,
            buckets: counter.limit.rolling().map(|rolling| Buckets::new(rolling, now)),
            held: 0,
            ends_at: counter.needed_until(),
            entries: HashMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Notices what has lapsed, and what does not count any more.
    pub(super) fn notice(&mut self, now: Timestamp) {
        loop {
            let entries = self.entries.values_mut();
            let due = entries.filter(|entry| !entry.lapsed && entry.deadline <= now);
            let mut noticed = Vec::new();
            for entry in due.take(NOTICED_AT_ONCE) {
                entry.lapsed = true;
                self.held -= entry.units;
                noticed.push(*entry);
            }
            for entry in noticed.iter().filter(|entry| entry.lapse == Lapse::Charge) {
                self.correct(entry.made_at, entry.units, 0);
            }
            if noticed.len() < NOTICED_AT_ONCE {
                break;
            }
        }
        if let Some(buckets) = &mut self.buckets {
            buckets.advance(now);
            self.used = buckets.sum();
        }
    }

    /// Adds what was spent of a hold that was made then, and takes back what was charged of it.
    pub(super) fn correct(&mut self, made_at: Timestamp, spent: u64, charged: u64) {
        if let Some(buckets) = &mut self.buckets {
            buckets.add(made_at, spent.min(MAX_COUNT - self.used));
            buckets.take_back(made_at, charged);
            self.used = buckets.sum();
        } else {
            self.used = self.used.saturating_add(spent).saturating_sub(charged).min(MAX_COUNT);
        }
    }

    pub(super) fn admits(&self, charge: &RemoteCharge, units: u64) -> bool {
        let held = self.held + charge.units(units);
        let ceiling = charge.ceiling.unwrap_or(u64::MAX);
        held <= MAX_COUNT && self.used + held <= ceiling
    }

    pub(super) fn settle(&mut self, id: HoldId, spent: Spent) {
        let Some(entry) = self.entries.remove(&id) else { return };
        let charged = match (entry.lapsed, entry.lapse) {
            (true, Lapse::Charge) => entry.units,
            _ => 0,
        };
        self.correct(entry.made_at, spent.units(entry.units), charged);
        if !entry.lapsed {
            self.held -= entry.units;
        }
    }

    pub(super) fn change(&mut self, change: Change, now: Timestamp) {
        let used = change.applied_to(self.used).min(MAX_COUNT);
        if let Some(buckets) = &mut self.buckets {
            buckets.add(buckets.counts_from(now), used.saturating_sub(self.used));
            buckets.take(self.used.saturating_sub(used));
        }
        self.used = used;
    }

    /// Forgets the records of holds whose settlement nobody waits for.
    pub(super) fn forget(&mut self, before: impl Fn(Timestamp) -> bool, at_most: u32) -> u32 {
        let mut forgotten = 0;
        self.entries.retain(|_, entry| {
            let stays = forgotten == at_most || !entry.lapsed || !before(entry.deadline);
            forgotten += u32::from(!stays);
            stays
        });
        forgotten
    }
}

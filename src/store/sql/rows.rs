//! What the rows of a counter and of a hold say, and what becomes of them. No SQL, no clock.

use super::steps::{DueStep, Steps};
use crate::clock::Timestamp;
use crate::count::{Count, Spent};
use crate::limits::{Buckets, Rolling, Span};
use crate::store::books::{Lapse, MAX_COUNT, RemoteCharge};
use crate::store::request::Change;

const MAX: i64 = i64::from_ne_bytes(MAX_COUNT.to_ne_bytes());

/// A hold, of one of its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HoldRow {
    pub(crate) units: i64,
    pub(crate) lapse: Lapse,
    /// When its lease ends.
    pub(crate) deadline: Timestamp,
    /// Whether the counter's row says already that the lease has ended.
    pub(crate) marked: bool,
    /// From when on it counts, if the window rolls.
    pub(crate) made_at: Option<Timestamp>,
}

impl HoldRow {
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        !self.marked && now < self.deadline
    }
}

/// The units of holds whose lease has ended without being marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// They come back.
    pub(crate) back: i64,
    /// They are charged.
    pub(crate) charged: i64,
    /// The same by steps, where the window rolls.
    pub(crate) steps: Vec<DueStep>,
}

/// A counter's row, and what is to be known of its holds to read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CounterRow {
    /// Without what is due to be charged: it may be negative until that is added.
    pub(crate) used: i64,
    /// The units of all unmarked holds, with those that are due.
    pub(crate) held: i64,
    /// No unmarked hold's lease ends earlier.
    pub(crate) lapse_at: Option<Timestamp>,
    /// What is used by steps, where the window rolls: `used` is the sum.
    pub(crate) steps: Option<Steps>,
    pub(crate) due: Due,
}

impl CounterRow {
    /// Whether the lease of an unmarked hold may have ended.
    pub(crate) fn may_be_due(&self, now: Timestamp) -> bool {
        self.lapse_at.is_some_and(|lapse_at| lapse_at <= now)
    }

    /// What is used, with what is due.
    fn used_with_due(&self) -> i64 {
        match self.buckets() {
            Some(buckets) => to_count(buckets.sum()),
            None => self.used.saturating_add(self.due.charged).clamp(0, MAX),
        }
    }

    /// What is used by steps, with what is due, where the window rolls.
    fn buckets(&self) -> Option<Buckets> {
        self.steps.as_ref().map(|steps| steps.with(&self.due.steps))
    }

    pub(crate) fn count(&self, window: Span) -> Count {
        let due = self.due.back.saturating_add(self.due.charged);
        let held = self.held.saturating_sub(due).max(0).unsigned_abs();
        let mut count = Count { used: self.used_with_due().unsigned_abs(), held, window };
        self.look_ahead(&mut count, 1);
        count
    }

    /// The count as it is told to whoever is denied so many units.
    pub(crate) fn count_for(&self, charge: &RemoteCharge, units: u64) -> Count {
        let mut count = self.count(charge.counter.window);
        let missing = charge.missing(&count, units);
        self.look_ahead(&mut count, missing);
        count
    }

    /// Tells when so many units come back, where the window rolls.
    fn look_ahead(&self, count: &mut Count, units: u64) {
        if let Some(buckets) = self.buckets() {
            count.window.end = buckets.come_back_at(units.max(1), count.held);
        }
    }

    /// Until when it is needed, where the window rolls.
    pub(crate) fn needed_until(&self) -> Option<Timestamp> {
        self.buckets().as_ref().map(Buckets::empty_at)
    }

    /// Lets go what does not count any more, or begins to count in steps, where the window rolls.
    pub(crate) fn roll(&mut self, rolling: Option<Rolling>, now: Timestamp) {
        if let (None, Some(rolling)) = (&self.steps, rolling) {
            self.steps = Some(Steps::new(rolling, now));
        }
        if let Some(steps) = &mut self.steps {
            steps.advance(now);
            self.used = steps.sum();
        }
    }

    /// Changes what is used, with what is due.
    pub(crate) fn change(&mut self, change: Change, now: Timestamp) {
        let before = self.used_with_due().unsigned_abs();
        let used = change.applied_to(before).min(MAX_COUNT);
        if let Some(mut buckets) = self.buckets() {
            buckets.add(buckets.counts_from(now), used.saturating_sub(before));
            buckets.take(before.saturating_sub(used));
            self.set_buckets(&buckets);
        } else {
            self.set_used(used);
        }
    }

    /// Sets what is used, with what is due.
    fn set_used(&mut self, used: u64) {
        self.used = to_count(used).saturating_sub(self.due.charged);
    }

    /// The same by steps, where the window rolls.
    fn set_buckets(&mut self, used: &Buckets) {
        if let Some(steps) = &mut self.steps {
            steps.set(used, &self.due.steps);
            self.used = steps.sum();
        }
    }

    /// Charges what was held since `made_at`, as far as it can be counted, or takes it back.
    fn charge(&mut self, made_at: Option<Timestamp>, units: i64) {
        if let (Some(mut buckets), Some(made_at)) = (self.buckets(), made_at) {
            if units < 0 {
                buckets.take_back(made_at, units.unsigned_abs());
            } else {
                let room = MAX_COUNT.saturating_sub(buckets.sum());
                buckets.add(made_at, units.unsigned_abs().min(room));
            }
            self.set_buckets(&buckets);
        } else {
            let used = self.used_with_due().saturating_add(units);
            self.set_used(used.max(0).unsigned_abs());
        }
    }

    /// From when on what is held at `now` counts, where the window rolls.
    pub(crate) fn counts_from(&self, now: Timestamp) -> Option<Timestamp> {
        self.buckets().map(|buckets| buckets.counts_from(now))
    }

    pub(crate) fn hold(&mut self, hold: &HoldRow) {
        self.held = self.held.saturating_add(hold.units);
        self.lapse_at = Some(self.lapse_at.map_or(hold.deadline, |at| at.min(hold.deadline)));
    }

    /// Says that the lease of an unmarked hold has ended.
    pub(crate) fn mark(&mut self, hold: &HoldRow) {
        self.release(hold);
        if hold.lapse != Lapse::Charge {
            return;
        }
        if let (Some(steps), Some(made_at)) = (&mut self.steps, hold.made_at) {
            steps.add(made_at, hold.units);
            self.used = steps.sum();
        } else {
            self.used = self.used.saturating_add(hold.units).min(MAX);
        }
    }

    /// Ends a hold, by the table in the contract of [`RemoteBooks`](crate::store::RemoteBooks).
    pub(crate) fn settle(&mut self, hold: &HoldRow, spent: Spent, now: Timestamp) {
        if hold.is_live(now) {
            self.release(hold);
        } else if !hold.marked {
            self.take_from_due(hold);
            self.mark(hold);
        }
        let charged = match hold.lapse {
            Lapse::Charge if !hold.is_live(now) => hold.units,
            _ => 0,
        };
        let spent = to_i64(spent.units(hold.units.unsigned_abs()));
        self.charge(hold.made_at, spent.saturating_sub(charged));
    }

    fn release(&mut self, hold: &HoldRow) {
        self.held = self.held.saturating_sub(hold.units);
        if self.held <= 0 {
            self.lapse_at = None;
        }
    }

    fn take_from_due(&mut self, hold: &HoldRow) {
        let due = match hold.lapse {
            Lapse::GiveBack => &mut self.due.back,
            Lapse::Charge => &mut self.due.charged,
        };
        *due = due.saturating_sub(hold.units).max(0);
        if let (Lapse::Charge, Some(made_at)) = (hold.lapse, hold.made_at) {
            self.take_from_step(made_at, hold.units);
        }
    }

    fn take_from_step(&mut self, made_at: Timestamp, units: i64) {
        let Some(rolling) = self.steps.as_ref().map(Steps::rolling) else { return };
        let bucket = rolling.bucket(made_at);
        let mut steps = self.due.steps.iter_mut();
        if let Some(step) = steps.find(|step| rolling.bucket(step.made_at) == bucket) {
            step.units = step.units.saturating_sub(units).max(0);
        }
    }
}

/// A number that databases can store, all bits of it kept.
pub(crate) fn to_bits(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

/// The number that was stored by [`to_bits`].
pub(crate) fn from_bits(bits: i64) -> u64 {
    u64::from_ne_bytes(bits.to_ne_bytes())
}

/// As many units as can be counted, at most.
pub(crate) fn to_count(units: u64) -> i64 {
    to_i64(units.min(MAX_COUNT))
}

fn to_i64(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

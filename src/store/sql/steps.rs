//! What is used by steps, where a window rolls: what is due is not in it yet, as in the rest of a
//! counter's row. No SQL, no clock.

use std::collections::BTreeMap;

use super::rows::to_count;
use crate::clock::Timestamp;
use crate::limits::{Buckets, Rolling};
use crate::store::books::MAX_COUNT;

/// The units of holds that were made in one step of a window that rolls, and are due to be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DueStep {
    /// When the first of them was made.
    pub(crate) made_at: Timestamp,
    pub(crate) units: i64,
}

/// What is used by steps, without what is due: until that is added, a step of which more was taken may
/// be negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    rolling: Rolling,
    newest: i64,
    /// By the steps' numbers, those that count.
    used: BTreeMap<i64, i64>,
}

impl Steps {
    /// Nothing is used at `now`.
    pub(crate) fn new(rolling: Rolling, now: Timestamp) -> Self {
        Self { rolling, newest: rolling.bucket(now), used: BTreeMap::new() }
    }

    /// By the number of the newest step, and what is used in it, in the one before it, and so on.
    pub(crate) fn restored(
        rolling: Rolling,
        newest: i64,
        used: impl IntoIterator<Item = i64>,
    ) -> Self {
        Self { rolling, newest, used: (Rolling::oldest(newest)..=newest).rev().zip(used).collect() }
    }

    pub(crate) fn rolling(&self) -> Rolling {
        self.rolling
    }

    /// The number of the newest step.
    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }

    /// What is used in the newest step, in the one before it, and so on up to the last in which
    /// anything is.
    pub(crate) fn used(&self) -> impl Iterator<Item = i64> {
        let is_used = |(_, units): &(&i64, &i64)| **units != 0;
        let oldest = self.used.iter().find(is_used).map_or(i64::MAX, |(step, _)| *step);
        (oldest..=self.newest).rev().map(|step| self.units(step))
    }

    fn units(&self, step: i64) -> i64 {
        self.used.get(&step).copied().unwrap_or(0)
    }

    pub(crate) fn sum(&self) -> i64 {
        self.used.values().fold(0, |sum: i64, units| sum.saturating_add(*units))
    }

    /// Lets go what does not count any more. Time does not run back.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        self.newest = self.newest.max(self.rolling.bucket(now));
        let oldest = Rolling::oldest(self.newest);
        self.used.retain(|step, _| *step >= oldest);
    }

    /// Adds what was reserved at `then`, or takes it, if it counts.
    pub(crate) fn add(&mut self, then: Timestamp, units: i64) {
        let step = self.rolling.bucket(then).min(self.newest);
        if step >= Rolling::oldest(self.newest) {
            let used = self.used.entry(step).or_default();
            *used = used.saturating_add(units);
        }
    }

    /// What is used with what is due, as far as it can be counted.
    pub(crate) fn with(&self, due: &[DueStep]) -> Buckets {
        let mut all = self.clone();
        for step in due {
            all.add(step.made_at, step.units);
        }
        let mut room = MAX_COUNT;
        let steps = Rolling::oldest(self.newest)..=self.newest;
        let used = steps.rev().map(|step| {
            let used = all.units(step).max(0).unsigned_abs().min(room);
            room = room.saturating_sub(used);
            used
        });
        Buckets::restored(self.rolling, self.newest, used)
    }

    /// Makes `used` what is used with what is due.
    pub(crate) fn set(&mut self, used: &Buckets, due: &[DueStep]) {
        let units = used.used().iter().map(|units| to_count(*units));
        *self = Self::restored(self.rolling, used.newest(), units);
        for step in due {
            self.add(step.made_at, step.units.saturating_neg());
        }
    }
}

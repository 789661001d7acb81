//! Windows without an edge: units come back one step after another.

use std::mem;
use std::time::Duration;

use crate::clock::Timestamp;

/// In how many steps a window's units come back.
const STEPS: i64 = 60;

/// A unit counts in the step in which it was reserved and in as many after it. In each of these a
/// whole window has begun after the unit's step or is not over yet.
const BUCKETS: usize = 61;

/// The bits of all of them.
const ALL: u64 = (1 << BUCKETS) - 1;

/// How a rolling window is cut into steps: the same for all counts of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling {
    /// In milliseconds.
    step: i64,
}

impl Rolling {
    /// By the length of the window, in milliseconds.
    pub(super) fn new(length: i64) -> Self {
        // Rounded up: no unit comes back before a whole window is over.
        let step = length.saturating_add(STEPS.saturating_sub(1)).checked_div(STEPS);
        Self { step: step.unwrap_or(1).max(1) }
    }

    /// By the length of a step, for a store that has kept it.
    #[must_use]
    pub fn with_step(step: Duration) -> Self {
        Self { step: i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1) }
    }

    /// How long a step is.
    #[must_use]
    pub fn step(self) -> Duration {
        Duration::from_millis(self.step.unsigned_abs())
    }

    /// The number of the step that holds `at`.
    #[must_use]
    pub fn bucket(self, at: Timestamp) -> i64 {
        at.as_millis().div_euclid(self.step)
    }

    /// The oldest step that counts when this one is the newest.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn oldest(newest: i64) -> i64 {
        newest.saturating_sub(STEPS)
    }

    /// When a unit of this bucket does not count any more.
    fn leaves_at(self, bucket: i64) -> Timestamp {
        let buckets = i64::try_from(BUCKETS).unwrap_or(i64::MAX);
        Timestamp::from_millis(bucket.saturating_add(buckets).saturating_mul(self.step))
    }
}

/// What is used in a rolling window, by the step in which it was reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    rolling: Rolling,
    newest: i64,
    /// Of the newest step, of the one before it, and so on.
    used: [u64; BUCKETS],
    /// In which of them anything was, a bit for each, the lowest for the newest: the oldest is found
    /// without reading the others.
    occupied: u64,
    /// The sum of them.
    sum: u64,
}

impl Buckets {
    /// Nothing is used at `now`.
    #[must_use]
    pub fn new(rolling: Rolling, now: Timestamp) -> Self {
        let newest = rolling.bucket(now);
        Self { rolling, newest, used: [0; BUCKETS], occupied: 0, sum: 0 }
    }

    /// What a store has kept: the number of the newest step, and what was used in it, in the one before
    /// it, and so on.
    #[must_use]
    pub fn restored(rolling: Rolling, newest: i64, used: impl IntoIterator<Item = u64>) -> Self {
        let mut buckets = Self { rolling, newest, used: [0; BUCKETS], occupied: 0, sum: 0 };
        for (age, used) in used.into_iter().take(BUCKETS).enumerate() {
            buckets.set(age, used);
        }
        buckets
    }

    /// How the window rolls.
    #[must_use]
    pub fn rolling(&self) -> Rolling {
        self.rolling
    }

    /// The number of the newest step.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// What was used in the newest step, in the one before it, and so on up to the last in which
    /// anything was.
    #[must_use]
    pub fn used(&self) -> &[u64] {
        oldest(self.occupied).and_then(|age| self.used.get(..=age)).unwrap_or_default()
    }

    /// When nothing counts any more that is used by now.
    #[must_use]
    pub fn empty_at(&self) -> Timestamp {
        self.rolling.leaves_at(self.newest)
    }

    /// From when on what is reserved at `now` counts: not from before the newest step, should the
    /// clock have been set back.
    #[must_use]
    pub fn counts_from(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_millis(self.newest.saturating_mul(self.rolling.step)))
    }

    /// Lets go what does not count any more. Time does not run back.
    pub fn advance(&mut self, now: Timestamp) {
        let steps = self.rolling.bucket(now).saturating_sub(self.newest);
        let Some(steps) = usize::try_from(steps).ok().filter(|steps| *steps > 0) else { return };
        self.newest = self.rolling.bucket(now);
        let left = steps.min(BUCKETS);
        self.used.rotate_right(left);
        self.occupied = shifted(self.occupied, left) & ALL;
        for used in self.used.iter_mut().take(left) {
            self.sum = self.sum.saturating_sub(mem::take(used));
        }
    }

    /// What is used in all of the window.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Adds what was reserved at `then`, unless it does not count any more.
    pub fn add(&mut self, then: Timestamp, units: u64) {
        // Added up they are still counted exactly.
        let units = units.min(u64::MAX.saturating_sub(self.sum));
        if let Some((age, used)) = self.at(then) {
            self.set(age, used.saturating_add(units));
        }
    }

    /// Takes back what was reserved at `then`, as far as it is there and counts.
    pub fn take_back(&mut self, then: Timestamp, units: u64) {
        if let Some((age, used)) = self.at(then) {
            self.set(age, used.saturating_sub(units));
        }
    }

    /// How many steps ago `then` was, if it counts, and what is used in that step.
    fn at(&self, then: Timestamp) -> Option<(usize, u64)> {
        let age = self.newest.saturating_sub(self.rolling.bucket(then)).max(0);
        let age = usize::try_from(age).ok()?;
        Some((age, *self.used.get(age)?))
    }

    fn set(&mut self, age: usize, units: u64) {
        if let Some(used) = self.used.get_mut(age) {
            self.sum = self.sum.saturating_sub(*used).saturating_add(units);
            *used = units;
            let bit = shifted(1, age);
            self.occupied = if units > 0 { self.occupied | bit } else { self.occupied & !bit };
        }
    }

    /// Takes from what is used, the latest first.
    pub fn take(&mut self, mut units: u64) {
        for age in 0..BUCKETS {
            let used = self.used.get(age).copied().unwrap_or_default();
            self.set(age, used.saturating_sub(units));
            units = units.saturating_sub(used);
        }
    }

    /// When so many units, at least 1, have come back; what is held may come back any time, or be used
    /// from now on. Never, if there is nothing to come back.
    #[must_use]
    pub fn come_back_at(&self, units: u64, held: u64) -> Timestamp {
        let (mut missing, mut occupied) = (units, self.occupied);
        while let Some(age) = oldest(occupied) {
            missing = missing.saturating_sub(self.used.get(age).copied().unwrap_or_default());
            if missing == 0 {
                let step = self.newest.saturating_sub(i64::try_from(age).unwrap_or(0));
                return self.rolling.leaves_at(step);
            }
            occupied &= !shifted(1, age);
        }
        if held == 0 { Timestamp::MAX } else { self.empty_at() }
    }
}

/// How many steps ago the oldest of some was.
fn oldest(occupied: u64) -> Option<usize> {
    usize::try_from(occupied.checked_ilog2()?).ok()
}

/// Bits of steps, that many steps later.
fn shifted(occupied: u64, steps: usize) -> u64 {
    u32::try_from(steps).ok().and_then(|steps| occupied.checked_shl(steps)).unwrap_or(0)
}

//! Windows without an edge: units come back one step after another.

use std::mem;
use std::time::Duration;

use crate::clock::Timestamp;

/// In how many steps a window's units come back.
const STEPS: i64 = 60;

/// A unit counts in the step in which it was reserved and in as many after it. In each of these a
/// whole window has begun after the unit's step or is not over yet.
const BUCKETS: usize = 61;

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
    /// The sum of them.
    sum: u64,
}

impl Buckets {
    /// Nothing is used at `now`.
    #[must_use]
    pub fn new(rolling: Rolling, now: Timestamp) -> Self {
        Self { rolling, newest: rolling.bucket(now), used: [0; BUCKETS], sum: 0 }
    }

    /// What a store has kept: the number of the newest step, and what was used in it, in the one before
    /// it, and so on.
    #[must_use]
    pub fn restored(rolling: Rolling, newest: i64, used: impl IntoIterator<Item = u64>) -> Self {
        let mut buckets = Self { rolling, newest, used: [0; BUCKETS], sum: 0 };
        for (place, used) in buckets.used.iter_mut().zip(used) {
            *place = used;
            buckets.sum = buckets.sum.saturating_add(used);
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
        let last = self.used.iter().rposition(|used| *used > 0);
        last.and_then(|last| self.used.get(..=last)).unwrap_or_default()
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
        if let Some(used) = self.at(then) {
            *used = used.saturating_add(units);
            self.sum = self.sum.saturating_add(units);
        }
    }

    /// Takes back what was reserved at `then`, as far as it is there and counts.
    pub fn take_back(&mut self, then: Timestamp, units: u64) {
        if let Some(used) = self.at(then) {
            let taken = units.min(*used);
            *used = used.saturating_sub(taken);
            self.sum = self.sum.saturating_sub(taken);
        }
    }

    fn at(&mut self, then: Timestamp) -> Option<&mut u64> {
        let age = self.newest.saturating_sub(self.rolling.bucket(then)).max(0);
        self.used.get_mut(usize::try_from(age).ok()?)
    }

    /// Takes from what is used, the latest first.
    pub fn take(&mut self, mut units: u64) {
        for used in &mut self.used {
            let taken = units.min(*used);
            *used = used.saturating_sub(taken);
            self.sum = self.sum.saturating_sub(taken);
            units = units.saturating_sub(taken);
        }
    }

    /// When so many units, at least 1, have come back; what is held may come back any time, or be used
    /// from now on. Never, if there is nothing to come back.
    #[must_use]
    pub fn come_back_at(&self, units: u64, held: u64) -> Timestamp {
        let (mut missing, mut age) = (units, BUCKETS);
        for used in self.used.iter().rev() {
            age = age.saturating_sub(1);
            missing = missing.saturating_sub(*used);
            if missing == 0 {
                break;
            }
        }
        if missing > 0 && held == 0 {
            return Timestamp::MAX;
        }
        self.rolling.leaves_at(self.newest.saturating_sub(i64::try_from(age).unwrap_or(0)))
    }
}

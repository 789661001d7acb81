//! What was refunded in a window.

use super::rolling::{Buckets, Rolling};
use crate::clock::Timestamp;

/// What was refunded of one count in its window: for stores, which keep one beside each count of which
/// something was reserved under a [cap](crate::Limit::max_refunds).
///
/// A hold keeps the [caps](crate::store::Charge::refunds) that it was reserved under. It is refunded if
/// those of its counts that have one [admit](Self::admits) it, each by the hold's own cap, and then is
/// [added](Self::add) to these; else it is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refunds {
    refunded: u64,
    /// What was refunded, where the window rolls.
    buckets: Option<Box<Buckets>>,
}

impl Refunds {
    /// Nothing was refunded at `now`.
    #[must_use]
    pub fn new(rolling: Option<Rolling>, now: Timestamp) -> Self {
        let buckets = rolling.map(|rolling| Box::new(Buckets::new(rolling, now)));
        Self { refunded: 0, buckets }
    }

    /// Lets go what does not count any more, where the window rolls. Time does not run back.
    pub fn advance(&mut self, now: Timestamp) {
        if let Some(buckets) = &mut self.buckets {
            buckets.advance(now);
            self.refunded = buckets.sum();
        }
    }

    /// The units that were refunded in the window.
    #[must_use]
    pub fn refunded(&self) -> u64 {
        self.refunded
    }

    /// Whether a hold of so many units, as the limit measures them, may be refunded under `cap`.
    #[must_use]
    pub fn admits(&self, units: u64, cap: u64) -> bool {
        self.refunded.checked_add(units).is_some_and(|total| total <= cap)
    }

    /// Counts a refund of so many units of a hold that was reserved at `then`. Where the window
    /// rolls, it counts from the newest step on.
    pub fn add(&mut self, then: Timestamp, units: u64) {
        match &mut self.buckets {
            Some(buckets) => {
                buckets.add(buckets.counts_from(then), units);
                self.refunded = buckets.sum();
            }
            None => self.refunded = self.refunded.saturating_add(units),
        }
    }
}

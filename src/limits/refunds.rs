//! What was refunded in a window, and the cap on that.

use super::rolling::{Buckets, Rolling};
use crate::clock::Timestamp;

/// What was refunded of one count, and how much may be: for stores, which keep one beside each
/// count that has a [cap](crate::Limit::max_refunds).
///
/// A hold is refunded if all of its counts [admit](Self::admits) it, and then is
/// [added](Self::add) to each; else it is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refunds {
    cap: Option<u64>,
    refunded: u64,
    /// What was refunded, where the window rolls.
    buckets: Option<Box<Buckets>>,
}

impl Refunds {
    /// Nothing was refunded at `now`, and there is no cap.
    #[must_use]
    pub fn new(rolling: Option<Rolling>, now: Timestamp) -> Self {
        let buckets = rolling.map(|rolling| Box::new(Buckets::new(rolling, now)));
        Self { cap: None, refunded: 0, buckets }
    }

    /// Sets the cap, as the [latest request](crate::store::Charge::refunds) says it.
    pub fn set_cap(&mut self, cap: Option<u64>) {
        self.cap = cap;
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

    /// Whether a hold of so many units, as the limit measures them, may be refunded.
    #[must_use]
    pub fn admits(&self, units: u64) -> bool {
        let total = self.refunded.checked_add(units);
        self.cap.is_none_or(|cap| total.is_some_and(|total| total <= cap))
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

//! What a store counts.

use smallvec::SmallVec;

use crate::limits::{Measure, Span};

/// What a store has counted in one window: units committed, and units held by requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Units committed.
    pub used: u64,
    /// Units set aside for requests in flight.
    pub held: u64,
    /// The window that was counted in.
    pub window: Span,
}

impl Count {
    /// The count of a window in which nothing has happened yet.
    #[must_use]
    pub fn unused(window: Span) -> Self {
        Self { used: 0, held: 0, window }
    }

    /// Whether `units` more fit into `amount`. A sum that overflows does not fit.
    #[must_use]
    pub fn admits(&self, units: u64, amount: u64) -> bool {
        self.used
            .checked_add(self.held)
            .and_then(|taken| taken.checked_add(units))
            .is_some_and(|total| total <= amount)
    }

    /// How many units have to come back before `units` more fit into `amount`.
    #[must_use]
    pub fn missing(&self, units: u64, amount: u64) -> u64 {
        let taken = self.used.saturating_add(self.held);
        taken.saturating_add(units).saturating_sub(amount)
    }

    /// What is left of `amount`: less what is used and held, never below 0.
    #[must_use]
    pub fn remaining(&self, amount: u64) -> u64 {
        amount.saturating_sub(self.used.saturating_add(self.held))
    }

    /// Settles a hold of so many units, as a limit measures them.
    pub fn settle(&mut self, measure: Measure, units: u64, spent: Spent) {
        let held = measure.held(units);
        self.held = self.held.saturating_sub(held);
        self.used = self.used.saturating_add(spent.counted(measure).units(held));
    }
}

/// One count for each limit of a feature, in the order of the limits.
pub type Counts = SmallVec<[Count; 1]>;

/// How much of a hold was spent, as a store is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// Exactly what was held.
    Held,
    /// This many units, more or fewer than were held. 0 gives all units back, of a request that was made.
    Units(u64),
    /// Nothing, not even a request: it gives everything back.
    Nothing,
    /// The same, as far as the [caps on refunds](crate::Limit::max_refunds) of all its limits allow;
    /// else exactly what was held. Until a store has decided that, it counts as held.
    Refund,
}

impl Spent {
    /// The units spent, of a hold of `held` units.
    #[must_use]
    pub fn units(self, held: u64) -> u64 {
        match self {
            Self::Held | Self::Refund => held,
            Self::Units(units) => units,
            Self::Nothing => 0,
        }
    }

    /// What was spent, once it is decided whether a refund is made.
    #[must_use]
    pub fn decided(self, refunds: bool) -> Self {
        match self {
            Self::Refund if refunds => Self::Nothing,
            Self::Refund => Self::Held,
            spent => spent,
        }
    }

    /// What was spent, as a limit counts it, of a hold of at least 1 unit.
    #[must_use]
    pub fn counted(self, measure: Measure) -> Self {
        match (measure, self) {
            (Measure::InFlight, _) | (_, Self::Nothing) => Self::Units(0),
            (Measure::Units, Self::Units(units)) => Self::Units(units),
            (Measure::Units | Measure::Requests, _) => Self::Held,
        }
    }
}

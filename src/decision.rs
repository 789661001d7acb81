//! What the books said: where a profile stands with each limit, and why it was denied.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use smallvec::SmallVec;

use crate::bounds::MAX_UNITS;
use crate::clock::Timestamp;
use crate::limits::{Allowance, KeyedLimit, Span};

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
        Self {
            used: 0,
            held: 0,
            window,
        }
    }

    /// Whether `units` more fit into `amount`. A sum that overflows does not fit.
    #[must_use]
    pub fn admits(&self, units: u64, amount: u64) -> bool {
        self.used
            .checked_add(self.held)
            .and_then(|taken| taken.checked_add(units))
            .is_some_and(|total| total <= amount)
    }

    /// What is left of `amount`: less what is used and held, never below 0.
    #[must_use]
    pub fn remaining(&self, amount: u64) -> u64 {
        amount.saturating_sub(self.used.saturating_add(self.held))
    }

    /// Settles a hold of `held` units.
    pub fn settle(&mut self, held: u64, spent: Spent) {
        self.held = self.held.saturating_sub(held);
        self.used = self.used.saturating_add(spent.units(held));
    }
}

/// One count for each limit of a feature, in the order of the limits.
pub type Counts = SmallVec<[Count; 2]>;

/// Where a profile stands with one limit, as of the moment of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    limit: CompactString,
    amount: u64,
    count: Count,
    as_of: Timestamp,
}

impl Status {
    fn new(keyed: &KeyedLimit, count: Count, as_of: Timestamp) -> Self {
        Self {
            limit: CompactString::new(keyed.limit.name()),
            amount: keyed.limit.amount(),
            count,
            as_of,
        }
    }

    /// The limit's name.
    #[must_use]
    pub fn limit(&self) -> &str {
        &self.limit
    }

    /// The limit's amount: units per window.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Units committed in this window. It may exceed the amount: after a downgrade, or when more
    /// was charged afterwards than was asked for before.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.count.used
    }

    /// Units set aside for requests in flight.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.count.held
    }

    /// Units left: the amount less what is used and held, never below 0.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.count.remaining(self.amount)
    }

    /// When the count starts over; none for a lifetime limit.
    #[must_use]
    pub fn resets_at(&self) -> Option<DateTime<Utc>> {
        self.count.window.resets_at().map(DateTime::from)
    }

    /// Whole seconds from the decision until the count starts over, rounded up.
    #[must_use]
    pub fn seconds_until_reset(&self) -> Option<u64> {
        let resets_at = self.count.window.resets_at()?;
        Some(self.as_of.seconds_until(resets_at))
    }

    /// The length of the present window in seconds, rounded up; none for a lifetime limit.
    #[must_use]
    pub fn window_seconds(&self) -> Option<u64> {
        self.count.window.seconds()
    }
}

/// Where a profile stands with every limit of one feature, as of the moment of a decision.
#[derive(Clone, Debug)]
pub struct Standing {
    allowance: Arc<Allowance>,
    /// One for each limit, or none where nothing is counted.
    counts: Counts,
    as_of: Timestamp,
}

impl Standing {
    pub(crate) fn new(allowance: Arc<Allowance>, counts: Counts, as_of: Timestamp) -> Self {
        Self {
            allowance,
            counts,
            as_of,
        }
    }

    /// The standing of somebody whose use is not counted.
    pub(crate) fn uncounted(allowance: Arc<Allowance>, as_of: Timestamp) -> Self {
        Self::new(allowance, Counts::new(), as_of)
    }

    /// The feature.
    #[must_use]
    pub fn feature(&self) -> &str {
        self.allowance.feature()
    }

    /// Each limit's status, in the plan's order. Empty where nothing is counted: an unlimited
    /// profile, or an unmetered engine.
    pub fn statuses(&self) -> impl Iterator<Item = Status> {
        self.counted()
            .map(|(keyed, count)| Status::new(keyed, *count, self.as_of))
    }

    /// Units left before the first limit trips; none where nothing is counted.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.counted()
            .map(|(keyed, count)| count.remaining(keyed.limit.amount()))
            .min()
    }

    /// When the first limit starts over; none where nothing is counted, or never starts over.
    #[must_use]
    pub fn resets_at(&self) -> Option<DateTime<Utc>> {
        let ends = self
            .counts
            .iter()
            .filter_map(|count| count.window.resets_at());
        ends.min().map(DateTime::from)
    }

    pub(crate) fn admits(&self, units: u64) -> bool {
        self.counted()
            .all(|(keyed, count)| count.admits(units, keyed.limit.amount()))
    }

    pub(crate) fn counted(&self) -> impl Iterator<Item = (&KeyedLimit, &Count)> {
        self.allowance.limits().iter().zip(&self.counts)
    }

    pub(crate) fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// The same standing after a reservation of `held` units was settled with `spent`.
    pub(crate) fn settle(&mut self, held: u64, spent: Spent) {
        for count in &mut self.counts {
            count.settle(held, spent);
        }
    }
}

/// A refused request: an outcome, not an error. Nothing was written for it.
///
/// It always names a limit that tripped. Where several did, [`status`](Denial::status) is the one
/// that keeps the request waiting longest.
#[derive(Clone, Debug)]
pub struct Denial {
    standing: Standing,
    units: u64,
}

impl Denial {
    pub(crate) fn new(standing: Standing, units: u64) -> Self {
        Self { standing, units }
    }

    /// The feature that was asked for.
    #[must_use]
    pub fn feature(&self) -> &str {
        self.standing.feature()
    }

    /// The units that were asked for.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }

    /// Where the profile stands with every limit of the feature, tripped or not.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The limits that had no room for the request.
    pub fn violated(&self) -> impl Iterator<Item = Status> {
        self.standing
            .statuses()
            .filter(|status| !status.count.admits(self.units, status.amount))
    }

    /// The tripped limit that keeps the request waiting longest.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.violated().max_by_key(|status| {
            let never = !self.fits_later(status);
            (never, status.count.window.end)
        })
    }

    /// When the last of the tripped limits starts over; none if one of them never does.
    #[must_use]
    pub fn resets_at(&self) -> Option<DateTime<Utc>> {
        self.status()?.resets_at()
    }

    /// After how many seconds, rounded up and at least 1, the request may fit; none if waiting
    /// will not help: it asks for more than a limit could ever hold, or a lifetime limit is used up.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        let status = self.status()?;
        let seconds = status.seconds_until_reset()?;
        self.fits_later(&status).then_some(seconds.max(1))
    }

    fn fits_later(&self, status: &Status) -> bool {
        let could_hold = self.units <= status.amount.min(MAX_UNITS);
        could_hold && status.count.window.resets_at().is_some()
    }
}

/// What [`Quotas::check`](crate::Quotas::check) found.
#[derive(Clone, Debug)]
pub enum Check {
    /// The units would be granted now.
    Allowed(Standing),
    /// They would be denied.
    Denied(Denial),
}

/// How much of a hold was spent, as a store is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// Exactly what was held.
    Held,
    /// This many units, more or fewer than were held. 0 gives everything back.
    Units(u64),
}

impl Spent {
    /// The units spent, of a hold of `held` units.
    #[must_use]
    pub fn units(self, held: u64) -> u64 {
        match self {
            Self::Held => held,
            Self::Units(units) => units,
        }
    }
}

/// What the end of a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Spend what was held.
    Commit,
    /// Spend this many units, more or fewer than were held.
    Charge(u64),
    /// Give back what was held.
    Release,
    /// Decide when the body has ended. At the end it means [`Settlement::Commit`].
    Wait,
}

//! Where a profile stands with its limits.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use compact_str::CompactString;

use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::limits::{Allowance, KeyedLimit, Measure, Scope, Window};

/// Where a profile stands with one limit, as of the moment of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    limit: CompactString,
    scope: Scope,
    measure: Measure,
    shadow: bool,
    window: Window,
    amount: u64,
    count: Count,
    as_of: Timestamp,
}

impl Status {
    fn new(keyed: &KeyedLimit, count: Count, as_of: Timestamp) -> Self {
        Self {
            limit: CompactString::new(keyed.limit.name()),
            scope: keyed.limit.scoped(),
            measure: keyed.limit.measure(),
            shadow: keyed.limit.is_shadow(),
            window: keyed.limit.window(),
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

    /// Whose count it is.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// What is counted: units, or requests, or those in flight.
    #[must_use]
    pub fn measure(&self) -> Measure {
        self.measure
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

    /// When the count starts over; none for a lifetime limit. Where the window rolls, when the units that
    /// were denied fit, or else when the first unit comes back.
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

    /// Whether the limit only counts, and never denies.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// Whether what is taken comes back by itself: at a reset, or when requests in flight end.
    pub(crate) fn comes_back(&self) -> bool {
        self.measure == Measure::InFlight || self.count.window.resets_at().is_some()
    }

    /// Whether `units` more would fit.
    pub(crate) fn admits(&self, units: u64) -> bool {
        self.count.admits(self.measure.held(units), self.amount)
    }

    /// The length of the present window in seconds, rounded up; none for a lifetime limit.
    #[must_use]
    pub fn window_seconds(&self) -> Option<u64> {
        self.window.rolling_seconds().or_else(|| self.count.window.seconds())
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
        Self { allowance, counts, as_of }
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

    /// Each limit's status, in the plan's order. Empty in a decision where nothing is
    /// counted: for an unlimited profile, or an unmetered engine.
    pub fn statuses(&self) -> impl Iterator<Item = Status> {
        self.counted().map(|counted| self.status(counted))
    }

    /// The limits that are over their amount: in a decision that granted, those that would have denied
    /// it if they, or the engine, were not in shadow mode.
    pub fn exceeded(&self) -> impl Iterator<Item = Status> {
        let over = |(keyed, count): &(&KeyedLimit, &Count)| !count.admits(0, keyed.limit.amount());
        self.counted().filter(over).map(|counted| self.status(counted))
    }

    /// Units left before the first limit trips that counts units, if there is one, else requests left;
    /// none where nothing is counted.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        let left = |measures: fn(Measure) -> bool| {
            let counted = self.enforced().filter(move |(it, _)| measures(it.limit.measure()));
            counted.map(|(keyed, count)| count.remaining(keyed.limit.amount())).min()
        };
        left(|measure| measure == Measure::Units).or_else(|| left(|_| true))
    }

    /// When the first limit starts over; none where nothing is counted, or never starts over.
    #[must_use]
    pub fn resets_at(&self) -> Option<DateTime<Utc>> {
        let ends = self.enforced().filter_map(|(_, count)| count.window.resets_at());
        ends.min().map(DateTime::from)
    }

    pub(crate) fn admits(&self, units: u64) -> bool {
        self.enforced().all(|(KeyedLimit { limit, .. }, count)| {
            count.admits(limit.measure().held(units), limit.amount())
        })
    }

    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// The limits that can deny, with their counts.
    pub(crate) fn enforced(&self) -> impl Iterator<Item = (&KeyedLimit, &Count)> {
        self.counted().filter(|(keyed, _)| !keyed.limit.is_shadow())
    }

    fn status(&self, (keyed, count): (&KeyedLimit, &Count)) -> Status {
        Status::new(keyed, *count, self.as_of)
    }

    fn counted(&self) -> impl Iterator<Item = (&KeyedLimit, &Count)> {
        self.allowance.limits().iter().zip(&self.counts)
    }

    pub(crate) fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// The same standing after a reservation of `held` units was settled with `spent`.
    pub(crate) fn settle(&mut self, held: u64, spent: Spent) {
        for (keyed, count) in self.allowance.limits().iter().zip(&mut self.counts) {
            count.settle(keyed.limit.measure(), held, spent);
        }
    }
}

/// What a profile has used of every feature.
#[derive(Clone, Debug)]
pub struct Usage {
    unlimited: bool,
    standings: Vec<Standing>,
}

impl Usage {
    pub(crate) fn new(unlimited: bool, standings: Vec<Standing>) -> Self {
        Self { unlimited, standings }
    }

    /// Whether the profile is never denied.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.unlimited
    }

    /// Where the profile stands with each feature of any plan. A feature that its own plan lacks
    /// has a limit of 0. One that it can reserve nothing of, for a limit is for tenants and it has none,
    /// is left out.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter()
    }

    /// Where the profile stands with this feature; none if no plan has it, or it is left out of the
    /// [`standings`](Self::standings).
    #[must_use]
    pub fn feature(&self, feature: &str) -> Option<&Standing> {
        self.standings().find(|standing| standing.feature() == feature)
    }
}

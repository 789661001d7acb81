//! The limits of one feature, checked and given their identity.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::slice;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use compact_str::{CompactString, format_compact};
use foldhash::quality::FixedState;

use super::calendar::is_month_start;
use super::limit::Limit;
use super::measure::Measure;
use super::rolling::Rolling;
use super::scope::Scope;
use super::window::Window;
use crate::bounds::{MAX_UNITS, is_name};
use crate::error::ConfigError;

/// What a count belongs to, beside the one whose count it is: feature, limit name, scope kind,
/// window kind and what is counted. Never the plan nor the amount: both can change and what was used
/// stays.
#[derive(Clone)]
pub struct LimitKey {
    text: CompactString,
    scope: Scope,
    measure: Measure,
    rolling: Option<Rolling>,
    longest_window: Option<Duration>,
    /// Kept, because a key is made once and hashed in every request.
    hash: u64,
}

impl LimitKey {
    fn new(feature: &str, limit: &Limit) -> Self {
        // Names hold no slash, so two different keys never read the same.
        let (name, scope, window) = (limit.name(), limit.scoped(), limit.window().kind());
        let mut text = format_compact!("{feature}/{name}/{}/{window}", scope.as_str());
        if limit.measure() == Measure::Requests {
            text.push_str("/requests");
        }
        if limit.follows_profile() {
            text.push_str("/profile-calendar");
        }
        let hash = hash(&text);
        let (measure, rolling) = (limit.measure(), limit.window().rolling());
        let follows_profile = limit.follows_profile();
        let longest_window = limit.window().longest_anywhere().filter(|_| follows_profile);
        Self { text, scope, measure, rolling, longest_window, hash }
    }

    /// The key under which a store may count what was [refunded](crate::Limit::max_refunds) of it, in
    /// the same windows and as it is measured.
    #[must_use]
    pub fn refunds(&self) -> Self {
        let mut key = self.of_named_windows();
        key.text.push_str("/refunds");
        key.hash = hash(&key.text);
        key
    }

    /// The same limit, of counters that say which window is to be counted in.
    pub(crate) fn of_named_windows(&self) -> Self {
        Self { longest_window: None, ..self.clone() }
    }

    /// The key as text: the same in every process, and no other limit's.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whose count it is.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// What is counted of a reservation.
    #[must_use]
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// How its window rolls, if it does. The books find out by themselves what counts in it: a
    /// counter's [`window`](crate::store::Counter::window) has no end then.
    #[must_use]
    pub fn rolling(&self) -> Option<Rolling> {
        self.rolling
    }

    /// How long a window of it can be at most, where they [follow the profile's
    /// calendar](Limit::profile_calendar); none elsewhere. The last one has to be known so long after
    /// its end: until then, another calendar may have a window that began before.
    #[must_use]
    pub fn longest_window(&self) -> Option<Duration> {
        self.longest_window
    }
}

fn hash(text: &str) -> u64 {
    FixedState::default().hash_one(text)
}

impl PartialEq for LimitKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LimitKey {}

impl Hash for LimitKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// A checked limit and the identity of its counts.
#[derive(Clone, Debug)]
pub(crate) struct KeyedLimit {
    pub(crate) limit: Limit,
    pub(crate) key: Arc<LimitKey>,
}

/// What somebody may spend of one feature: its checked limits, of which there is at least one.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    feature: CompactString,
    limits: Box<[KeyedLimit]>,
    /// Whether some limit has a cap on refunds.
    caps_refunds: bool,
    /// The limits as clients are told of them, kept because every response says it.
    description: OnceLock<Bytes>,
}

impl Allowance {
    pub(crate) fn new(feature: &str, limits: &[Limit]) -> Result<Self, ConfigError> {
        check_name("feature", feature)?;
        if limits.is_empty() {
            let feature = feature.to_owned();
            return Err(ConfigError::NoLimits { feature });
        }
        for (index, limit) in limits.iter().enumerate() {
            check_limit(feature, limit)?;
            let before = limits.iter().take(index).map(Limit::name);
            check_unique("limit", limit.name(), before)?;
        }
        let keyed = limits.iter().map(|limit| KeyedLimit {
            limit: limit.clone(),
            key: Arc::new(LimitKey::new(feature, limit)),
        });
        Ok(Self::of(CompactString::new(feature), keyed.collect()))
    }

    fn of(feature: CompactString, limits: Box<[KeyedLimit]>) -> Self {
        let caps_refunds = limits.iter().any(|keyed| keyed.limit.refund_cap().is_some());
        Self { feature, limits, caps_refunds, description: OnceLock::new() }
    }

    /// The allowance of a plan that lacks a feature which another plan has: nothing, ever.
    pub(crate) fn nothing(feature: &str) -> Result<Self, ConfigError> {
        let limit = Limit::new(0, Window::Lifetime).named("not-in-plan");
        Self::new(feature, slice::from_ref(&limit))
    }

    pub(crate) fn feature(&self) -> &str {
        &self.feature
    }

    pub(crate) fn limits(&self) -> &[KeyedLimit] {
        &self.limits
    }

    /// Whether a refund may be refused.
    pub(crate) fn caps_refunds(&self) -> bool {
        self.caps_refunds
    }

    /// The most units that a reservation can be granted, at least 1.
    pub(crate) fn capacity(&self) -> u64 {
        self.bounding().map(Limit::amount).min().unwrap_or(MAX_UNITS).max(1)
    }

    /// The limits that count units; there may be none.
    pub(crate) fn of_units(&self) -> Self {
        let counts_units = |keyed: &&KeyedLimit| keyed.limit.measure() == Measure::Units;
        let limits = self.limits.iter().filter(counts_units).cloned().collect();
        Self::of(self.feature.clone(), limits)
    }

    /// Whether some limit can deny units for their number.
    pub(crate) fn bounds_units(&self) -> bool {
        self.bounding().next().is_some()
    }

    fn bounding(&self) -> impl Iterator<Item = &Limit> {
        let limits = self.limits.iter().map(|keyed| &keyed.limit);
        limits.filter(|it| it.measure() == Measure::Units && !it.is_shadow())
    }

    /// The limits as `describe` puts them, which is asked once: where all windows are of their
    /// [usual](Window::is_usual) length.
    pub(crate) fn description(&self, describe: impl FnOnce() -> Bytes) -> Bytes {
        self.description.get_or_init(describe).clone()
    }
}

pub(crate) fn check_limit(feature: &str, limit: &Limit) -> Result<(), ConfigError> {
    check_name("limit", limit.name())?;
    if let Some(unit) = limit.unit_name() {
        check_name("unit", unit)?;
    }
    if !limit.window().is_valid() {
        return Err(ConfigError::BadWindow {
            feature: feature.to_owned(),
            limit: limit.name().to_owned(),
        });
    }
    if let Some(day) = limit.calendar().month_start.filter(|day| !is_month_start(*day)) {
        return Err(ConfigError::BadMonthStart {
            feature: feature.to_owned(),
            limit: limit.name().to_owned(),
            day,
        });
    }
    let amounts = [limit.amount(), limit.refund_cap().unwrap_or_default()];
    match amounts.into_iter().find(|amount| *amount > MAX_UNITS) {
        Some(amount) => Err(ConfigError::AmountTooLarge {
            feature: feature.to_owned(),
            limit: limit.name().to_owned(),
            amount,
        }),
        None => Ok(()),
    }
}

pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), ConfigError> {
    if is_name(name) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(ConfigError::BadName { what, name })
}

/// Names that differ in case alone are refused: somebody would mix them up.
pub(crate) fn check_unique<'a>(
    what: &'static str,
    name: &str,
    mut before: impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    match before.find(|first| first.eq_ignore_ascii_case(name)) {
        None => Ok(()),
        Some(first) => {
            Err(ConfigError::DuplicateName { what, name: name.to_owned(), first: first.to_owned() })
        }
    }
}

//! An amount of units per window, within a scope.

use chrono::Weekday;
use compact_str::CompactString;

use super::calendar::Calendar;
use super::measure::Measure;
use super::scope::Scope;
use super::window::{Span, Window};
#[cfg(feature = "tz")]
use super::zone::Zone;
use crate::clock::Timestamp;

/// An amount of units per [`Window`].
///
/// An amount of 0 disables the feature. Amounts go up to [`MAX_UNITS`](crate::MAX_UNITS).
///
/// ```
/// use tower_quota::{Limit, Window};
///
/// let daily = Limit::new(20, Window::Day);
/// let burst = Limit::new(5, Window::Minute).named("burst");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    name: CompactString,
    amount: u64,
    window: Window,
    calendar: Calendar,
    scope: Scope,
    measure: Measure,
    unit: Option<CompactString>,
    shadow: bool,
}

impl Limit {
    /// At most `amount` units in each `window`. It is named after its window: `day`, `90s`.
    #[must_use]
    pub fn new(amount: u64, window: Window) -> Self {
        let measure = match window {
            Window::Concurrent => Measure::InFlight,
            _ => Measure::Units,
        };
        let (name, scope) = (window.kind(), Scope::Profile);
        let calendar = Calendar::default();
        Self { name, amount, window, calendar, scope, measure, unit: None, shadow: false }
    }

    /// Makes it a limit of everybody in this scope together.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Counts each request once, however many units it is of, and also if it turns out to be of 0; not if
    /// it is [released](crate::Settlement::Release). A [concurrency limit](Window::Concurrent) counts
    /// requests anyway, while they last.
    ///
    /// ```
    /// use tower_quota::{Limit, Plan, Window};
    ///
    /// let chat = Plan::new("free").feature(
    ///     "chat",
    ///     [
    ///         Limit::new(60, Window::Minute).named("requests").per_request(),
    ///         Limit::new(100_000, Window::Minute).named("tokens").unit("tokens"),
    ///     ],
    /// );
    /// ```
    #[must_use]
    pub fn per_request(mut self) -> Self {
        if self.measure == Measure::Units {
            self.measure = Measure::Requests;
        }
        self
    }

    /// Counts, but never denies: to see what the limit would do. Clients are not told of it;
    /// [`Standing::exceeded`](crate::Standing::exceeded) tells what it would have denied.
    #[must_use]
    pub fn shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    /// Names the unit, for headers: `tokens`. By the same rules as other names. What counts requests, or
    /// those in flight, has a unit of its own already.
    #[must_use]
    pub fn unit(mut self, name: impl AsRef<str>) -> Self {
        self.unit = Some(CompactString::new(name));
        self
    }

    /// Gives the limit a name of its own, which headers and denials show.
    ///
    /// The name is part of what a count belongs to: renaming a limit starts a new count.
    #[must_use]
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        self.name = CompactString::new(name);
        self
    }

    /// Has the calendar windows of this limit in `zone`, whoever pays. Without it they are in the
    /// [profile's zone](crate::Profile::zone), or else in UTC.
    ///
    /// Seconds and minutes are the same in all zones; fixed windows and lifetimes have none.
    ///
    /// ```
    /// use tower_quota::{Limit, Window};
    ///
    /// let daily = Limit::new(20, Window::Day).zone(chrono_tz::Europe::Berlin);
    /// ```
    #[cfg(feature = "tz")]
    #[must_use]
    pub fn zone(mut self, zone: chrono_tz::Tz) -> Self {
        self.calendar.zone = Some(Zone(zone));
        self
    }

    /// Has weeks begin on `day` instead of Monday.
    #[must_use]
    pub fn week_start(mut self, day: Weekday) -> Self {
        self.calendar.week_start = Some(day);
        self
    }

    /// Has months begin on this day, from 1 to 31, and years on this day of January. In months that
    /// are too short it is the last one. Without it they begin on the
    /// [profile's billing day](crate::Profile::billing_day), or else on the 1st.
    ///
    /// Another day is an error when the engine is built.
    #[must_use]
    pub fn month_start(mut self, day: u8) -> Self {
        self.calendar.month_start = Some(day);
        self
    }

    /// The limit's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Units per window.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// When the count starts over.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// Whose count it is.
    #[must_use]
    pub fn scoped(&self) -> Scope {
        self.scope
    }

    /// What is counted of a reservation.
    #[must_use]
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// Whether it only counts, and never denies.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// The unit's name, if it has one.
    #[must_use]
    pub fn unit_name(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    pub(super) fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// The window that holds `at`, where `profile` says what the limit's own calendar does not.
    #[inline]
    pub(super) fn around(&self, profile: Calendar, at: Timestamp) -> Span {
        self.calendar.or(profile).around(self.window, at)
    }
}

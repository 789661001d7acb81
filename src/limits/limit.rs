//! An amount of units per window, within a scope.

use chrono::Weekday;
use compact_str::CompactString;

use super::calendar::{Calendar, Placed};
use super::measure::Measure;
use super::scope::Scope;
use super::window::{Span, Window};
#[cfg(feature = "tz")]
use super::zone::Zone;
use crate::bounds::MAX_UNITS;
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
    profile_calendar: bool,
    scope: Scope,
    measure: Measure,
    unit: Option<CompactString>,
    shadow: bool,
    max_refunds: Option<u64>,
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
        Self {
            name,
            amount,
            window,
            calendar,
            profile_calendar: false,
            scope,
            measure,
            unit: None,
            shadow: false,
            max_refunds: None,
        }
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

    /// Refunds at most so many units in each window, or requests where it counts those: who fails on
    /// purpose pays from then on. Up to [`MAX_UNITS`].
    ///
    /// A refund is what the layer's [outcome policy](crate::QuotaLayerBuilder::outcome_policy)
    /// releases, or [`Reservation::refund`](crate::Reservation::refund) gives back. What a handler
    /// [releases](crate::QuotaHandle::release) itself is none, nor what comes back because a process
    /// died.
    ///
    /// A request is refunded as a whole, in all of its feature's limits, or in none: a cap without room
    /// charges it everywhere. Past the cap an error costs what it had reserved. Headers are mostly
    /// written before that is decided, so wherever there is a cap they count a request that is to be
    /// refunded as charged. Refunds count in the window that was charged, and a
    /// [reset](crate::Quotas::reset) does not take them back.
    ///
    /// Plans with different caps may share a count, of a tenant or of everyone, and a cap may change: each
    /// request goes by the cap that it was reserved under, and against it counts all that was refunded in
    /// that window of requests that were reserved under a cap, of whatever plan. What was reserved without one
    /// always comes back, and counts against none.
    ///
    /// What a handler [holds more](crate::QuotaHandle::hold_more) is refunded or charged by itself, by the
    /// caps of limits that count units. A refund costs a remote store a reservation more, and each window
    /// in which there was one a second counter; while it is away, the local share refunds up to its part
    /// of the cap, and the books do not hear of that.
    ///
    /// On a limit that counts what is [in flight](Window::Concurrent) a cap says nothing, nor on a
    /// [shadow](Self::shadow) one: it must not charge anybody.
    ///
    /// ```
    /// use tower_quota::{Limit, Window};
    ///
    /// let daily = Limit::new(20, Window::Day).max_refunds(5);
    /// ```
    #[must_use]
    pub fn max_refunds(mut self, units: u64) -> Self {
        self.max_refunds = Some(units);
        self
    }

    /// The same as a share of the amount, in percent, rounded down: 25 are 5 of 20. Of both the last
    /// one said counts.
    #[must_use]
    pub fn max_refund_percent(self, percent: u32) -> Self {
        let share = u128::from(self.amount).saturating_mul(percent.into()) / 100;
        self.max_refunds(u64::try_from(share).unwrap_or(MAX_UNITS).min(MAX_UNITS))
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

    /// Has the windows of this limit follow the calendar of the profile that pays: its
    /// zone, and its [billing day](crate::Profile::billing_day), as far as the
    /// limit does not name its own.
    ///
    /// A profile may change its zone or its billing day, and gains nothing by it: the window that it is
    /// in goes on to its end. From then on it is counted by the new calendar. Where that is in the
    /// middle of a window of it, the first one lasts until the end of the next, and so a little longer
    /// than others, with no more units in it. Reading begins no window. In books outside of this process, a
    /// reservation that is denied may.
    ///
    /// It says nothing for limits of a tenant or of everyone, who share a count and so its windows, nor
    /// where a window is the same in all calendars. A limit that comes to follow the profile's
    /// calendar, or does no more, starts a new count.
    ///
    /// ```
    /// use tower_quota::{Limit, Window};
    ///
    /// let daily = Limit::new(20, Window::Day).profile_calendar();
    /// ```
    #[must_use]
    pub fn profile_calendar(mut self) -> Self {
        self.profile_calendar = true;
        self
    }

    /// Has the calendar windows of this limit in `zone`, whoever pays. Without it they are in UTC.
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
    /// are too short it is the last one. Without it they begin on the 1st.
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

    /// The most that is refunded in a window, if there is a cap that says anything.
    #[must_use]
    pub fn refund_cap(&self) -> Option<u64> {
        let charges = self.measure != Measure::InFlight && !self.shadow;
        self.max_refunds.filter(|_| charges)
    }

    /// The unit's name, if it has one.
    #[must_use]
    pub fn unit_name(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    pub(super) fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// Whether its windows are those of whichever calendar the profile has.
    pub(super) fn follows_profile(&self) -> bool {
        let is_profiles = self.profile_calendar && self.scope == Scope::Profile;
        is_profiles && self.window.longest_anywhere().is_some()
    }

    /// The window that holds `at`, by the limit's own calendar.
    #[inline]
    pub(super) fn around(&self, at: Timestamp) -> Span {
        self.calendar.around(self.window, at)
    }

    /// The window that holds `at`, where `profile` says what the limit's own calendar does not.
    pub(super) fn placed(&self, profile: Calendar, at: Timestamp) -> Placed {
        self.calendar.or(profile).placed(self.window, at)
    }
}

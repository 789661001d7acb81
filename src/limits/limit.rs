//! An amount of units per window, within a scope.

use compact_str::CompactString;

use super::measure::Measure;
use super::scope::Scope;
use super::window::Window;

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
        Self { name, amount, window, scope, measure, unit: None, shadow: false }
    }

    /// Makes it a limit of everybody in this scope together.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Counts each request once, however many units it is of. A [concurrency
    /// limit](Window::Concurrent) does so anyway.
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

    /// Names the unit, for headers: `tokens`. By the same rules as other names.
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
}

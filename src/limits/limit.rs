//! An amount of units per window.

use compact_str::CompactString;

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
}

impl Limit {
    /// At most `amount` units in each `window`. It is named after its window: `day`, `90s`.
    #[must_use]
    pub fn new(amount: u64, window: Window) -> Self {
        Self { name: window.kind(), amount, window }
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
}

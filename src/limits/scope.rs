//! Whose count it is.

/// Whose count it is that a [`Limit`](crate::Limit) bounds.
///
/// A feature may carry limits of several scopes. A request takes from all of them or from none, so
/// that one that the profile's own limit denies spends nothing of its tenant's.
///
/// ```
/// use tower_quota::{Limit, Plan, Scope, Window};
///
/// let team = Plan::new("team").feature(
///     "remix",
///     [
///         Limit::new(20, Window::Day),
///         Limit::new(500, Window::Day).named("company").scope(Scope::Tenant),
///         Limit::new(10_000, Window::Day).named("app").scope(Scope::Everyone),
///     ],
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The profile's own.
    #[default]
    Profile,
    /// That of the profile's [tenant](crate::Profile::tenant): all of its profiles together.
    Tenant,
    /// That of all profiles together.
    Everyone,
}

impl Scope {
    /// The scope, as a name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Tenant => "tenant",
            Self::Everyone => "everyone",
        }
    }
}

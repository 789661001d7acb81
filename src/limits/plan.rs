//! A named set of features and their limits.

use compact_str::CompactString;

use super::limit::Limit;

/// A named set of feature → limits: `free`, `pro`.
///
/// A plan is checked when it is given to an engine. A feature may carry several limits; a request
/// takes from all of them or from none.
///
/// ```
/// use tower_quota::{Limit, Plan, Window};
///
/// let free = Plan::new("free")
///     .feature("remix", [Limit::new(1, Window::Day)])
///     .feature("chat", [Limit::new(50, Window::Month), Limit::new(5, Window::Minute)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    name: CompactString,
    features: Vec<(CompactString, Vec<Limit>)>,
}

impl Plan {
    /// A plan without features.
    #[must_use]
    pub fn new(name: impl AsRef<str>) -> Self {
        Self { name: CompactString::new(name), features: Vec::new() }
    }

    /// Adds a feature and its limits.
    #[must_use]
    pub fn feature(
        mut self,
        name: impl AsRef<str>,
        limits: impl IntoIterator<Item = Limit>,
    ) -> Self {
        let limits = limits.into_iter().collect();
        self.features.push((CompactString::new(name), limits));
        self
    }

    /// The plan's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The features and their limits, in the order in which they were added.
    pub fn features(&self) -> impl Iterator<Item = (&str, &[Limit])> {
        self.features.iter().map(|(name, limits)| (name.as_str(), limits.as_slice()))
    }

    /// Replaces the limits of a feature, or adds the feature.
    pub(crate) fn set_limits(&mut self, feature: &str, limits: Vec<Limit>) {
        match self.features.iter_mut().find(|(name, _)| name == feature) {
            Some((_, old)) => *old = limits,
            None => self.features.push((CompactString::new(feature), limits)),
        }
    }
}

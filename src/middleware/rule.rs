//! How the requests of a route are metered.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;

use super::head::RequestHead;
use crate::quotas::Asked;

/// How the requests of a route are metered: which feature they use, how many units of it, and what
/// becomes of a denial.
///
/// A feature's name alone is a rule: one unit, reserved by the layer, and a denial is answered.
///
/// ```
/// use tower_quota::Rule;
///
/// let rule = Rule::new("discover").units(2).forward_denials();
/// let plain = Rule::from("remix");
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    feature: CompactString,
    units: Units,
    forwards_denials: bool,
    reserved_by_handler: bool,
    extended_by_handler: bool,
}

#[derive(Clone)]
enum Units {
    Fixed(u64),
    Of(Arc<dyn Fn(&RequestHead<'_>) -> u64 + Send + Sync>),
    Estimate { fallback: u64, of: Arc<Estimate> },
}

type Estimate = dyn Fn(&RequestHead<'_>) -> Option<u64> + Send + Sync;

impl Rule {
    /// One unit of `feature` a request.
    #[must_use]
    pub fn new(feature: impl AsRef<str>) -> Self {
        Self {
            feature: CompactString::new(feature),
            units: Units::Fixed(1),
            forwards_denials: false,
            reserved_by_handler: false,
            extended_by_handler: false,
        }
    }

    /// This many units a request.
    #[must_use]
    pub fn units(mut self, units: u64) -> Self {
        self.units = Units::Fixed(units);
        self
    }

    /// As many units as `units` finds in the request's head.
    #[must_use]
    pub fn units_of(
        mut self,
        units: impl Fn(&RequestHead<'_>) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.units = Units::Of(Arc::new(units));
        self
    }

    /// About as many units as `estimate` finds in the request's head, or `fallback` where it cannot
    /// tell: at least 1, and never more than the feature's limits could ever hold, so that a wild guess is not a
    /// denial for ever. The handler [charges](crate::QuotaHandle::charge) what it took in the end.
    ///
    /// ```
    /// use tower_quota::Rule;
    ///
    /// let rule = Rule::new("chat").estimate(1_000, |head| {
    ///     let tokens = head.headers.get("x-max-tokens")?;
    ///     tokens.to_str().ok()?.parse().ok()
    /// });
    /// ```
    #[must_use]
    pub fn estimate(
        mut self,
        fallback: u64,
        estimate: impl Fn(&RequestHead<'_>) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        self.units = Units::Estimate { fallback, of: Arc::new(estimate) };
        self
    }

    /// Lets the handler [hold more](crate::QuotaHandle::hold_more) units than the layer has reserved.
    #[must_use]
    pub fn hold_more_in_handler(mut self) -> Self {
        self.extended_by_handler = true;
        self
    }

    /// Hands a denied request to the handler, with the [`Denial`](crate::Denial) in its extensions:
    /// it may have a cached result, and answers with
    /// [`denial_response`](crate::denial_response) if not.
    #[must_use]
    pub fn forward_denials(mut self) -> Self {
        self.forwards_denials = true;
        self
    }

    /// Leaves reserving to the handler, which calls
    /// [`QuotaHandle::reserve`](crate::QuotaHandle::reserve) once it knows what the request takes.
    #[must_use]
    pub fn reserve_in_handler(mut self) -> Self {
        self.reserved_by_handler = true;
        self
    }

    pub(super) fn feature(&self) -> &str {
        &self.feature
    }

    pub(super) fn units_for(&self, head: &RequestHead<'_>) -> Asked {
        match &self.units {
            Units::Fixed(units) => Asked::Exactly(*units),
            Units::Of(units) => Asked::Exactly(units(head)),
            Units::Estimate { fallback, of } => Asked::About(of(head).unwrap_or(*fallback)),
        }
    }

    pub(super) fn forwards_denials(&self) -> bool {
        self.forwards_denials
    }

    pub(super) fn is_extended_by_handler(&self) -> bool {
        self.extended_by_handler
    }

    pub(super) fn is_reserved_by_handler(&self) -> bool {
        self.reserved_by_handler
    }
}

impl From<&str> for Rule {
    fn from(feature: &str) -> Self {
        Self::new(feature)
    }
}

impl fmt::Debug for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(units) => fmt::Debug::fmt(units, f),
            Self::Of(_) => f.write_str("closure"),
            Self::Estimate { fallback, .. } => write!(f, "closure, or {fallback}"),
        }
    }
}

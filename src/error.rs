//! What can go wrong: in the configuration, in a store, and in a call of the engine.

mod store;

use std::error::Error as StdError;
use std::fmt;

pub use self::store::StoreError;
use crate::bounds::{MAX_ID_BYTES, MAX_UNITS};

/// An error of any type, as a store or a profile source reports it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why plans, limits or a layer were refused; each names the culprit. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An engine needs at least one plan.
    NoPlans,
    /// A plan without a feature.
    EmptyPlan {
        /// The plan.
        plan: String,
    },
    /// A feature without a limit. To switch it off, give it a limit of 0.
    NoLimits {
        /// The feature.
        feature: String,
    },
    /// A name that is not of the form `[A-Za-z0-9._-]{1,64}`.
    BadName {
        /// What is named: a plan, a feature or a limit.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two names that are equal, or differ in case alone.
    DuplicateName {
        /// What is named: a plan, a feature or a limit.
        what: &'static str,
        /// The second of the two.
        name: String,
        /// The first of the two.
        first: String,
    },
    /// A fixed window that is not a whole, positive number of milliseconds.
    BadWindow {
        /// The feature.
        feature: String,
        /// The limit.
        limit: String,
    },
    /// A [first day of the month](crate::Limit::month_start) that is not from 1 to 31.
    BadMonthStart {
        /// The feature.
        feature: String,
        /// The limit.
        limit: String,
        /// The day.
        day: u8,
    },
    /// A [billing day](crate::Profile::billing_day) that is not from 1 to 31.
    BadBillingDay {
        /// The day.
        day: u8,
    },
    /// An amount, or a [cap on refunds](crate::Limit::max_refunds), above [`MAX_UNITS`].
    AmountTooLarge {
        /// The feature.
        feature: String,
        /// The limit.
        limit: String,
        /// The amount.
        amount: u64,
    },
    /// The id of a profile that is empty or longer than [`MAX_ID_BYTES`].
    BadId {
        /// Its length in bytes.
        length: usize,
    },
    /// No such plan.
    UnknownPlan {
        /// The plan.
        plan: String,
    },
    /// No plan has this feature.
    UnknownFeature {
        /// The feature.
        feature: String,
    },
    /// Plans that lack a feature which the routes of a layer name.
    FeatureInUse {
        /// The feature.
        feature: String,
    },
    /// Plans without one that a layer puts profiles on.
    PlanInUse {
        /// The plan.
        plan: String,
    },
    /// A route pattern that cannot be parsed, or two that match the same path.
    BadRoute {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The same method and pattern twice.
    DuplicateRoute {
        /// Method and pattern.
        route: String,
    },
    /// A trusted proxy that is neither an address nor a network.
    BadNetwork {
        /// The text.
        network: String,
    },
    /// A layer that was not told which feature a request uses.
    NoRoutes,
    /// A layer that was not told who pays.
    NoPayer,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlans => f.write_str("no plan: an engine needs at least one"),
            Self::EmptyPlan { plan } => write!(f, "plan `{plan}` has no feature"),
            Self::NoLimits { feature } => {
                write!(f, "feature `{feature}` has no limit (0 disables it)")
            }
            Self::BadName { what, name } => {
                write!(f, "{what} name {name:?} is not 1 to 64 of the characters A-Z a-z 0-9 . _ -")
            }
            Self::DuplicateName { what, name, first } if name == first => {
                write!(f, "{what} `{name}` is there twice")
            }
            Self::DuplicateName { what, name, first } => {
                write!(f, "{what} `{name}` differs from `{first}` in case alone")
            }
            Self::BadWindow { feature, limit } => write!(
                f,
                "limit `{limit}` of feature `{feature}`: a fixed window is a whole number of \
                 milliseconds, from 1 to {}",
                i64::MAX
            ),
            Self::BadMonthStart { feature, limit, day } => write!(
                f,
                "limit `{limit}` of feature `{feature}`: months begin on day 1 to 31, not {day}"
            ),
            Self::BadBillingDay { day } => {
                write!(f, "a billing day is one from 1 to 31, not {day}")
            }
            Self::AmountTooLarge { feature, limit, amount } => {
                write!(f, "limit `{limit}` of feature `{feature}`: {amount} is above {MAX_UNITS}")
            }
            Self::BadId { length } => {
                write!(f, "an id has 1 to {MAX_ID_BYTES} bytes, this one {length}")
            }
            Self::UnknownPlan { plan } => write!(f, "there is no plan `{plan}`"),
            Self::UnknownFeature { feature } => write!(f, "no plan has a feature `{feature}`"),
            Self::FeatureInUse { feature } => write!(
                f,
                "no plan has feature `{feature}` any more, which a route names (0 disables it)"
            ),
            Self::PlanInUse { plan } => {
                write!(f, "there is no plan `{plan}` any more, which a layer puts profiles on")
            }
            Self::BadRoute { pattern, reason } => write!(f, "route `{pattern}`: {reason}"),
            Self::DuplicateRoute { route } => write!(f, "route `{route}` is there twice"),
            Self::BadNetwork { network } => {
                write!(f, "trusted proxy `{network}` is neither an address nor a network")
            }
            Self::NoRoutes => f.write_str(
                "the layer meters nothing: name a route, a classifier or one feature for all",
            ),
            Self::NoPayer => f.write_str(
                "the layer does not know who pays: give it an identity and a plan or a profile \
                 source, or a closure that makes profiles",
            ),
        }
    }
}

impl StdError for ConfigError {}

/// Why the engine could not answer. An exhausted quota is not among the reasons: that is a
/// [`Denial`](crate::Denial).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No plan has this feature.
    UnknownFeature(String),
    /// The profile's plan does not exist.
    UnknownPlan(String),
    /// The profile's id is empty or longer than [`MAX_ID_BYTES`]; here is its length in bytes.
    BadId(usize),
    /// A limit of the feature, named here, is for tenants, and the profile has none.
    NoTenant(String),
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFeature(feature) => write!(f, "no plan has a feature `{feature}`"),
            Self::UnknownPlan(plan) => write!(f, "there is no plan `{plan}`"),
            Self::BadId(length) => {
                write!(f, "an id has 1 to {MAX_ID_BYTES} bytes, this one {length}")
            }
            Self::NoTenant(limit) => {
                write!(f, "limit `{limit}` is for tenants, and the profile has none")
            }
            Self::Store(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

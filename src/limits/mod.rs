//! The rules: amounts, windows, plans and profiles. Pure: no HTTP, no waiting, no clock.

mod allowance;
mod calendar;
mod catalog;
mod limit;
mod measure;
mod plan;
mod profile;
mod recent;
mod refunds;
mod rolling;
mod scope;
mod window;
#[cfg(feature = "config")]
mod window_name;
mod zone;

pub use allowance::LimitKey;
pub(crate) use allowance::{Allowance, KeyedLimit};
#[cfg(feature = "config")]
pub(crate) use allowance::{check_limit, check_name, check_unique};
pub(crate) use calendar::Placed;
pub(crate) use catalog::Catalog;
pub use limit::Limit;
pub use measure::Measure;
pub use plan::Plan;
pub use profile::{Profile, ProfileId};
pub use refunds::Refunds;
pub use rolling::{Buckets, Rolling};
pub use scope::Scope;
pub use window::{Span, Window};

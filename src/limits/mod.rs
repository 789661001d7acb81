//! The rules: amounts, windows, plans and profiles. Pure: no HTTP, no waiting, no clock.

mod allowance;
mod catalog;
mod limit;
mod plan;
mod profile;
mod window;
#[cfg(feature = "config")]
mod window_name;

pub use allowance::LimitKey;
pub(crate) use allowance::{Allowance, KeyedLimit};
#[cfg(feature = "config")]
pub(crate) use allowance::{check_limit, check_name, check_unique};
pub(crate) use catalog::Catalog;
pub use limit::Limit;
pub use plan::Plan;
pub use profile::{Profile, ProfileId};
pub use window::{Span, Window};

//! A Tower middleware that spends quotas honestly.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod bounds;
mod builder;
mod clock;
mod count;
mod decision;
mod engine;
mod error;
mod limits;
mod middleware;
mod operators;
mod quotas;
mod reservation;
mod standing;
pub mod store;
mod striped;

pub use bounds::{MAX_ID_BYTES, MAX_UNITS};
pub use builder::QuotasBuilder;
#[cfg(feature = "test-util")]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock, Timestamp};
pub use count::{Count, Counts, Spent};
pub use decision::{Check, Denial, Settlement};
pub use engine::Mode;
pub use error::{BoxError, ConfigError, Error, StoreError};
pub use limits::{Limit, LimitKey, Plan, Profile, ProfileId, Span, Window};
pub use middleware::{
    Ending, ExtensionIdentity, Failure, ForwardedIp, HandleError, HeaderIdentity, Headers,
    Identity, OnStoreFailure, Outcome, PeerIp, ProfileSource, Profiles, Quota, QuotaHandle,
    QuotaLayer, QuotaLayerBuilder, Reset, ResponseBody, ResponseFuture, Rule, Unidentified,
    UsageService, denial_response,
};
pub use quotas::Quotas;
pub use reservation::{Decision, Reservation};
pub use standing::{Standing, Status, Usage};
pub use store::MemoryStore;

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
mod clock;
mod decision;
mod error;
mod limits;
mod middleware;
mod quotas;
mod reservation;
pub mod store;
mod striped;

pub use bounds::{MAX_ID_BYTES, MAX_UNITS};
#[cfg(feature = "test-util")]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock, Timestamp};
pub use decision::{Check, Count, Counts, Denial, Settlement, Spent, Standing, Status};
pub use error::{BoxError, ConfigError, Error, StoreError};
pub use limits::{Limit, LimitKey, Plan, Profile, ProfileId, Span, Window};
pub use middleware::{
    Ending, ExtensionIdentity, Failure, ForwardedIp, HandleError, HeaderIdentity, Headers,
    Identity, OnStoreFailure, Outcome, PeerIp, ProfileSource, Profiles, Quota, QuotaHandle,
    QuotaLayer, QuotaLayerBuilder, Reset, ResponseBody, ResponseFuture, Rule, Unidentified,
    UsageService, denial_response,
};
pub use quotas::{Mode, Quotas, QuotasBuilder, Usage};
pub use reservation::{Decision, Reservation};
pub use store::MemoryStore;

//! The layer: which feature, who pays, reserve, or answer the denial; run the inner service; note
//! the headers; carry the reservation in the body; settle.

mod body;
mod builder;
mod denial;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod handle;
mod handle_error;
mod handle_state;
mod head;
mod headers;
mod identity;
mod layer;
mod outcome;
mod problem;
mod profiles;
mod refusal;
mod route;
mod rule;
mod rules;
mod service;
mod settling;
mod shadow;
mod usage;

pub use body::ResponseBody;
pub use builder::QuotaLayerBuilder;
pub use denial::denial_response;
pub use future::ResponseFuture;
pub use handle::QuotaHandle;
pub use handle_error::HandleError;
pub use head::RequestHead;
pub use headers::{Headers, Reset};
pub use identity::{ExtensionIdentity, ForwardedIp, HeaderIdentity, Identity, PeerIp};
pub use layer::QuotaLayer;
pub use outcome::{Ending, Outcome};
pub use profiles::{ProfileSource, Profiles};
pub use refusal::Failure;
pub use rule::Rule;
pub use rules::{OnStoreFailure, Unidentified};
pub use service::Quota;
pub use shadow::WouldDeny;
pub use usage::UsageService;

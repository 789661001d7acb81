//! The layer.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::rules::Rules;
use super::service::Quota;
use super::usage::UsageService;

/// Meters the requests of a service.
///
/// It has no type parameters, so it can be named in any struct, and it fits any service whose
/// responses have a body of `Bytes`. A layer that a request meets twice charges it once.
///
/// # Routes
///
/// A pattern is written as for axum: `/users/{id}`, `/files/{*path}`. A rule for `GET` covers
/// `HEAD`; `OPTIONS` is never charged. A request without a rule passes untouched.
///
/// Where the path that the layer sees is not the whole one, a whole pattern does not match and **the
/// request passes unmetered**: so it is inside axum's `Router::nest`, which strips the prefix. With
/// feature `axum`, patterns are matched with the whole path there, and then with the stripped one. Otherwise put the layer
/// outside of the nest, or give it [one feature for every request](crate::QuotaLayerBuilder::feature).
///
/// # Example
///
/// ```
/// use http::{HeaderName, Method};
/// use tower_quota::{HeaderIdentity, Limit, Plan, QuotaLayer, Quotas, Rule, Window};
///
/// # fn main() -> Result<(), tower_quota::ConfigError> {
/// let quotas = Quotas::builder()
///     .plan(
///         Plan::new("free")
///             .feature("remix", [Limit::new(1, Window::Day)])
///             .feature("discover", [Limit::new(1, Window::Day)]),
///     )
///     .build()?;
/// let layer = QuotaLayer::builder(quotas)
///     .route(Method::POST, "/api/ai/remix", "remix")
///     .route(Method::GET, "/api/ai/discover/{id}/", Rule::new("discover").forward_denials())
///     .identify(HeaderIdentity::new(HeaderName::from_static("x-profile-id")))
///     .plan("free")
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct QuotaLayer(Arc<Rules>);

impl QuotaLayer {
    pub(super) fn new(rules: Rules) -> Self {
        Self(Arc::new(rules))
    }

    /// A service that tells whoever asks what they have used.
    #[must_use]
    pub fn usage(&self) -> UsageService {
        UsageService::new(self.0.clone())
    }
}

impl<S> Layer<S> for QuotaLayer {
    type Service = Quota<S>;

    fn layer(&self, inner: S) -> Quota<S> {
        Quota::new(inner, self.0.clone())
    }
}

impl fmt::Debug for QuotaLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaLayer").field("quotas", &self.0.quotas).finish_non_exhaustive()
    }
}

//! tower_governor, with a key extractor like the one in its examples.

use axum::body::Body;
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use http::Request;
use tower::Layer;
use tower_governor::governor::{Governor, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};

use super::governor::period;
use crate::exchange::{Handler, PROFILE_ID};

/// Each profile has its own bucket.
#[derive(Clone)]
pub(crate) struct ByProfile;

impl KeyExtractor for ByProfile {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        let id = request.headers().get(&PROFILE_ID);
        id.and_then(|id| id.to_str().ok())
            .map(str::to_owned)
            .ok_or(GovernorError::UnableToExtractKey)
    }
}

/// Without headers on what it lets through.
pub(crate) fn plain(
    inner: Handler,
    units_a_day: u32,
) -> Governor<ByProfile, NoOpMiddleware, Handler, Body> {
    let config = GovernorConfigBuilder::default()
        .key_extractor(ByProfile)
        .period(period(units_a_day))
        .burst_size(units_a_day)
        .finish()
        .expect("neither the period nor the burst is zero");
    GovernorLayer::new(config).layer(inner)
}

/// With `x-ratelimit-limit` and `x-ratelimit-remaining` on every answer.
pub(crate) fn with_headers(
    inner: Handler,
    units_a_day: u32,
) -> Governor<ByProfile, StateInformationMiddleware, Handler, Body> {
    let config = GovernorConfigBuilder::default()
        .key_extractor(ByProfile)
        .period(period(units_a_day))
        .burst_size(units_a_day)
        .use_headers()
        .finish()
        .expect("neither the period nor the burst is zero");
    GovernorLayer::new(config).layer(inner)
}

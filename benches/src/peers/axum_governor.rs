//! axum-governor, which always sets headers.

use axum_governor::extractor::Header;
use axum_governor::service::Governor;
use axum_governor::{GovernorConfigBuilder, GovernorLayer};
use tower::Layer;

use super::governor::plenty;
use crate::exchange::{Handler, PROFILE_ID};

/// With its own extractor of headers.
pub(crate) fn with_headers(inner: Handler) -> Governor<Handler, String> {
    let config = GovernorConfigBuilder::default()
        .with_extractor(Header(&PROFILE_ID))
        .quota_default(plenty().into())
        .finish()
        .expect("a complete configuration");
    GovernorLayer::new(config).layer(inner)
}

//! tower-rate-tier with its books in Redis: it counts before the call, and gives nothing back.

use std::sync::Arc;
use std::time::Duration;

use tower::Layer;
use tower_rate_tier::service::TierLimitService;
use tower_rate_tier::{Quota, RateTier, RedisStorage, TierIdentity, TierLimitLayer};

use super::PLENTY;
use crate::exchange::{Handler, PROFILE_ID};

/// The layer over `inner`, with the server at `url`.
pub(crate) async fn service(
    url: &str,
    patience: Duration,
    inner: Handler,
) -> TierLimitService<Handler> {
    let client = redis::Client::open(url).expect("an address");
    let connection = client.get_connection_manager().await.expect("a server");
    let tiers = RateTier::builder()
        .tier("free", Quota::per_hour(PLENTY))
        .storage(Arc::new(RedisStorage::new(connection).timeout(patience)))
        .build();
    let layer = TierLimitLayer::new(tiers).identifier_fn(|headers| {
        let id = headers.get(&PROFILE_ID)?.to_str().ok()?;
        Some(TierIdentity::new(id, "free"))
    });
    layer.layer(inner)
}

//! governor: GCRA, so "a day" means a bucket that takes a day to fill.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::PLENTY;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a bucket for `units` a day takes to gain one.
pub(crate) fn period(units: u32) -> Duration {
    DAY / units
}

/// More than anyone here uses.
pub(crate) fn plenty() -> Quota {
    Quota::with_period(period(PLENTY))
        .and_then(|quota| Some(quota.allow_burst(NonZeroU32::new(PLENTY)?)))
        .expect("neither the period nor the burst is zero")
}

/// The limiter under tower_governor and axum-governor, with the key that they use.
pub(crate) fn limiter() -> DefaultKeyedRateLimiter<String> {
    RateLimiter::keyed(plenty())
}

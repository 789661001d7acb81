//! A store that charges a window which, by this process's clock, has just ended.

use tower_quota::Count;
use tower_quota::store::{Reserve, Verdict};

use super::denied;
use crate::support::{Scripted, daily_in, json};

/// Denies everything, in a window that ends with the request's own instant.
fn ends_now(request: Reserve<'_>) -> Verdict {
    let counts = request.charges.iter().map(|charge| {
        let mut window = charge.counter.window;
        window.end = request.now;
        Count { used: 5, held: 0, window }
    });
    Verdict::Denied(counts.collect())
}

/// 0 would have clients come back at once, and again.
#[tokio::test]
async fn retry_after_is_at_least_a_second() {
    let response = denied(&daily_in(Scripted(ends_now), 5)).await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.headers()["ratelimit"], "\"day\";r=0;t=0");
    assert_eq!(json(response).await["resets_at"], "2026-11-24T12:00:00Z");
}

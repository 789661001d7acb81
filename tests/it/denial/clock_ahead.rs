//! A store that charges a window which, by this process's clock, has just ended.

use tower_quota::store::{Answer, Change, Counter, Reserve, Store, Verdict};
use tower_quota::{Count, ProfileId, StoreError, Timestamp};

use super::denied;
use crate::support::{daily_in, json};

/// Denies everything, in a window that ends with the request's own instant.
#[derive(Debug)]
struct EndsNow;

impl Store for EndsNow {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        let counts = request.charges.iter().map(|charge| {
            let mut window = charge.counter.window;
            window.end = request.now;
            Count { used: 5, held: 0, window }
        });
        Answer::Ready(Ok(Verdict::Denied(counts.collect())))
    }

    fn read(
        &self,
        _scope: &ProfileId,
        counters: &[Counter<'_>],
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        let unused = counters.iter().map(|counter| Count::unused(counter.window));
        Answer::Ready(Ok(unused.collect()))
    }

    fn change(
        &self,
        _scope: &ProfileId,
        _counters: &[Counter<'_>],
        _change: Change,
        _now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }
}

/// 0 would have clients come back at once, and again.
#[tokio::test]
async fn retry_after_is_at_least_a_second() {
    let response = denied(&daily_in(EndsNow, 5)).await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.headers()["ratelimit"], "\"day\";r=0;t=0");
    assert_eq!(json(response).await["resets_at"], "2026-11-24T12:00:00Z");
}

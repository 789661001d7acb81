//! Law 9: the clock is read once for a request, so that all that is said of it agrees.

use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Clock, Limit, Plan, QuotaLayer, Quotas, Timestamp, Window};

use super::{headers, item, list};
use crate::support::{daily, get, metered, noon, payer};

/// A clock that counts how often it is read.
#[derive(Clone, Debug)]
struct Counting(Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        self.0.fetch_add(1, Ordering::SeqCst);
        Timestamp::from_millis(0)
    }
}

#[tokio::test]
async fn the_clock_is_read_once_for_a_request_and_not_at_all_for_others() {
    let reads = Arc::new(AtomicUsize::new(0));
    let plan = Plan::new("free").feature("remix", [Limit::new(1, Window::Day)]);
    let quotas = Quotas::builder().plan(plan).clock(Counting(reads.clone()));
    let quotas = quotas.build().unwrap();
    let layer = metered(&quotas).build().unwrap();
    assert!(!headers(&layer).await.contains_key("retry-after"));
    assert_eq!(reads.load(Ordering::SeqCst), 1);
    assert!(headers(&layer).await.contains_key("retry-after"));
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    let elsewhere = QuotaLayer::builder(quotas)
        .route(Method::GET, "/elsewhere", "remix")
        .profile(|_| Some(payer()));
    assert!(headers(&elsewhere.build().unwrap()).await.is_empty());
    assert_eq!(reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_slow_handler_s_reset_is_late_and_never_early() {
    let clock = noon();
    let quotas = daily(&clock, 5);
    let inner = service_fn(move |_: Request<()>| {
        clock.advance(Duration::from_secs(600));
        future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let service = metered(&quotas).build().unwrap().layer(inner);
    let response = service.oneshot(get()).await.unwrap();
    let state = [item("day", &[("r", 4), ("t", 43_200)])];
    assert_eq!(list(response.headers(), "ratelimit"), state);
}

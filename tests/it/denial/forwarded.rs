//! A denial that the handler is told, so that it can serve what it has.

use std::convert::Infallible;
use std::future;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Denial, QuotaHandle, QuotaLayer, Quotas, Rule, denial_response};

use super::{Answer, denied, used_up};
use crate::support::{books, daily, get, metered, noon, text};

fn forwarding(quotas: &Quotas) -> QuotaLayer {
    let rule = Rule::new("remix").forward_denials();
    metered(quotas).feature(rule).build().unwrap()
}

/// The answer of a handler that serves `cached` to whoever is denied, if there is anything.
async fn discover(quotas: &Quotas, cached: Option<&'static str>) -> Answer {
    let inner = service_fn(move |request: Request<()>| {
        assert!(request.extensions().get::<QuotaHandle>().is_some());
        let response = match (request.extensions().get::<Denial>(), cached) {
            (None, _) => Response::new(Full::from("fresh")),
            (Some(_), Some(cached)) => Response::new(Full::from(cached)),
            (Some(denial), None) => denial_response(denial).map(Full::new),
        };
        future::ready(Ok::<_, Infallible>(response))
    });
    forwarding(quotas).layer(inner).oneshot(get()).await.unwrap()
}

#[tokio::test]
async fn a_handler_may_serve_a_cached_result() {
    let quotas = daily(&noon(), 1);
    assert_eq!(text(discover(&quotas, Some("cached")).await).await, "fresh");
    for _ in 0..3 {
        let response = discover(&quotas, Some("cached")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("retry-after"));
        assert_eq!(text(response).await, "cached");
    }
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn a_handler_that_has_nothing_answers_as_the_layer_would() {
    let quotas = used_up();
    let (ours, body) = denied(&quotas).await.into_parts();
    let (handlers, handlers_body) = discover(&quotas, None).await.into_parts();
    assert_eq!(handlers.status, ours.status);
    assert_eq!(handlers.headers, ours.headers);
    let body: Bytes = body.collect().await.unwrap().to_bytes();
    let handlers_body = handlers_body.collect().await.unwrap().to_bytes();
    assert_eq!(handlers_body, body);
    assert_eq!(books(&quotas), (1, 0));
}

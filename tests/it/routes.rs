//! Which requests are metered, for which feature and how many units.

mod axum_router;
mod met_twice;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Limit, Plan, QuotaHandle, QuotaLayer, QuotaLayerBuilder, Quotas, Rule, Window};

use crate::support::{books, metered, noon, payer, request, status};

/// An engine of two features, with `amount` units of each a day.
fn engine(amount: u64) -> Quotas {
    let daily = || [Limit::new(amount, Window::Day)];
    let plan = Plan::new("free").feature("remix", daily()).feature("chat", daily());
    let builder = Quotas::builder().plan(plan).clock(noon());
    builder.build().unwrap()
}

/// Begins a layer that does not meter anything yet.
fn unrouted(quotas: &Quotas) -> QuotaLayerBuilder {
    QuotaLayer::builder(quotas.clone()).profile(|_| Some(payer()))
}

/// Sends a request through the layer, to a service that answers 204.
async fn send(layer: &QuotaLayer, method: Method, path: &str) -> Response<()> {
    let inner = service_fn(async |request: Request<()>| {
        let metered = request.extensions().get::<QuotaHandle>().is_some();
        let builder = Response::builder().status(204).extension(metered);
        Ok::<_, std::convert::Infallible>(builder.body(Body::empty()).unwrap())
    });
    let response = layer.layer(inner).oneshot(request(method, path));
    response.await.unwrap().map(drop)
}

/// Whether such a request is metered: has a handle, headers, and is charged. None or all of it.
async fn is_metered(quotas: &Quotas, layer: &QuotaLayer, method: Method, path: &str) -> bool {
    let used = || status(quotas, &payer(), "remix").used();
    let before = used();
    let response = send(layer, method, path).await;
    let handle = *response.extensions().get::<bool>().unwrap();
    let headers = response.headers();
    assert_eq!(headers.contains_key("ratelimit"), handle);
    assert_eq!(headers.contains_key("ratelimit-policy"), handle);
    assert_eq!(used() > before, handle);
    handle
}

#[tokio::test]
async fn a_route_is_a_method_and_a_pattern() {
    let quotas = engine(9);
    let layer = unrouted(&quotas)
        .route(Method::POST, "/ai/remix", "remix")
        .route(Method::GET, "/ai/discover/{id}/", "remix")
        .route(Method::PUT, "/files/{*path}", "remix")
        .build()
        .unwrap();
    let metered = async |method, path| is_metered(&quotas, &layer, method, path).await;
    assert!(metered(Method::POST, "/ai/remix").await);
    assert!(metered(Method::POST, "/ai/remix?a=b").await);
    assert!(metered(Method::GET, "/ai/discover/7/").await);
    assert!(metered(Method::PUT, "/files/a/b/c").await);

    assert!(!metered(Method::GET, "/ai/remix").await);
    assert!(!metered(Method::HEAD, "/ai/remix").await);
    assert!(!metered(Method::POST, "/ai/remix/").await);
    assert!(!metered(Method::POST, "/ai").await);
    assert!(!metered(Method::POST, "/AI/REMIX").await);
    assert!(!metered(Method::GET, "/ai/discover/7").await);
    assert!(!metered(Method::GET, "/ai/discover/7/8/").await);
    assert!(!metered(Method::GET, "/").await);
}

#[tokio::test]
async fn a_rule_for_get_covers_head() {
    let quotas = engine(9);
    let layer = unrouted(&quotas).route(Method::GET, "/a", "remix").build().unwrap();
    assert!(is_metered(&quotas, &layer, Method::HEAD, "/a").await);
}

#[tokio::test]
async fn a_rule_for_head_itself_goes_before_that_for_get() {
    let quotas = engine(9);
    let layer = unrouted(&quotas)
        .route(Method::GET, "/a", "remix")
        .route(Method::HEAD, "/a", Rule::new("remix").units(3))
        .build()
        .unwrap();
    send(&layer, Method::HEAD, "/a").await;
    assert_eq!(books(&quotas), (3, 0));
}

#[tokio::test]
async fn options_is_never_charged() {
    let quotas = engine(0);
    let layers = [
        unrouted(&quotas).feature("remix"),
        unrouted(&quotas).any_method("/a", "remix"),
        unrouted(&quotas).classify(|_| Some(Rule::new("remix"))),
    ];
    for layer in layers {
        let layer = layer.build().unwrap();
        assert!(!is_metered(&quotas, &layer, Method::OPTIONS, "/a").await);
    }
}

#[tokio::test]
async fn a_rule_for_any_method_yields_to_one_for_its_own() {
    let quotas = engine(9);
    let layer = unrouted(&quotas)
        .any_method("/a", "remix")
        .route(Method::POST, "/a", Rule::new("remix").units(4))
        .build()
        .unwrap();
    assert!(is_metered(&quotas, &layer, Method::DELETE, "/a").await);
    assert_eq!(books(&quotas), (1, 0));
    assert!(is_metered(&quotas, &layer, Method::POST, "/a").await);
    assert_eq!(books(&quotas), (5, 0));
    assert!(!is_metered(&quotas, &layer, Method::GET, "/b").await);
}

#[tokio::test]
async fn a_classifier_is_asked_where_there_is_no_route() {
    let quotas = engine(9);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let layer = unrouted(&quotas)
        .route(Method::GET, "/a", "remix")
        .classify(move |head| {
            count.fetch_add(1, Ordering::SeqCst);
            (head.uri.path() == "/b").then(|| Rule::new("remix").units(2))
        })
        .build()
        .unwrap();
    assert!(is_metered(&quotas, &layer, Method::GET, "/a").await);
    assert_eq!((books(&quotas), asked.load(Ordering::SeqCst)), ((1, 0), 0));
    assert!(is_metered(&quotas, &layer, Method::GET, "/b").await);
    assert_eq!((books(&quotas), asked.load(Ordering::SeqCst)), ((3, 0), 1));
    assert!(!is_metered(&quotas, &layer, Method::GET, "/c").await);
}

#[tokio::test]
async fn one_feature_for_all_is_for_what_has_no_route() {
    let quotas = engine(9);
    let layer =
        unrouted(&quotas).route(Method::GET, "/chat", "chat").feature("remix").build().unwrap();
    send(&layer, Method::GET, "/chat").await;
    assert_eq!(books(&quotas), (0, 0));
    assert_eq!(status(&quotas, &payer(), "chat").used(), 1);
    assert!(is_metered(&quotas, &layer, Method::POST, "/anything").await);
}

/// A classifier that names no feature has decided: the request is not metered.
#[tokio::test]
async fn one_feature_for_all_does_not_overrule_a_classifier() {
    let quotas = engine(9);
    let layer = unrouted(&quotas).feature("remix").classify(|_| None).build().unwrap();
    assert!(!is_metered(&quotas, &layer, Method::GET, "/anything").await);
}

#[tokio::test]
async fn a_route_takes_as_many_units_as_it_says() {
    let quotas = engine(9);
    let layer = metered(&quotas).feature(Rule::new("remix").units(4)).build().unwrap();
    let statuses = async || send(&layer, Method::GET, "/").await.status();
    assert_eq!(statuses().await, StatusCode::NO_CONTENT);
    assert_eq!(statuses().await, StatusCode::NO_CONTENT);
    assert_eq!(statuses().await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(books(&quotas), (8, 0));
}

#[tokio::test]
async fn a_request_may_say_how_many_units_it_takes() {
    let quotas = engine(9);
    let units = |head: &tower_quota::RequestHead<'_>| {
        let query = head.uri.query().unwrap_or_default();
        query.parse().unwrap_or(u64::MAX)
    };
    let layer = metered(&quotas).feature(Rule::new("remix").units_of(units)).build().unwrap();
    let status_of = async |path| send(&layer, Method::GET, path).await.status();
    assert_eq!(status_of("/?3").await, StatusCode::NO_CONTENT);
    assert_eq!(status_of("/?5").await, StatusCode::NO_CONTENT);
    assert_eq!(status_of("/?2").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status_of("/?all").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(books(&quotas), (8, 0));
}

#[tokio::test]
async fn a_request_of_no_units_passes_where_nothing_is_left() {
    let quotas = engine(0);
    let layer = metered(&quotas).feature(Rule::new("remix").units(0)).build().unwrap();
    let response = send(&layer, Method::GET, "/").await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["ratelimit"].to_str().unwrap(), "\"day\";r=0;t=43200");
    assert_eq!(books(&quotas), (0, 0));
}

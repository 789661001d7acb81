//! The layer in an axum router, where the path that it sees may not be the whole one.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Method, Request, StatusCode};
use tower::ServiceExt;
use tower_quota::{QuotaLayer, Quotas};

use super::{engine, unrouted};
use crate::support::books;

/// The status of an axum app's answer to `POST`.
async fn post_to(app: &Router, path: &str) -> StatusCode {
    let request = Request::post(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

fn ok() -> Router {
    Router::new().route("/remix", post(async || "remixed"))
}

fn whole_path(quotas: &Quotas) -> QuotaLayer {
    let layer = unrouted(quotas).route(Method::POST, "/api/ai/remix", "remix");
    layer.build().unwrap()
}

/// `nest` strips the prefix from the path that the layer sees; whoever meters the whole path must
/// not let requests through for it.
#[tokio::test]
async fn inside_of_a_nest_the_whole_path_counts() {
    let quotas = engine(0);
    let nested = ok().layer(whole_path(&quotas));
    let app = Router::new().nest("/api", Router::new().nest("/ai", nested));
    assert_eq!(post_to(&app, "/api/ai/remix").await, StatusCode::TOO_MANY_REQUESTS);

    let routed = ok().route_layer(whole_path(&quotas));
    let app = Router::new().nest("/api", Router::new().nest("/ai", routed));
    assert_eq!(post_to(&app, "/api/ai/remix").await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn around_a_nest_the_whole_path_counts() {
    let quotas = engine(0);
    let app = Router::new().nest("/api/ai", ok()).layer(whole_path(&quotas));
    assert_eq!(post_to(&app, "/api/ai/remix").await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_route_layer_of_one_feature_does_not_charge_for_unknown_paths() {
    let quotas = engine(1);
    let layer = unrouted(&quotas).feature("remix").build().unwrap();
    let app = ok().route_layer(layer);
    assert_eq!(post_to(&app, "/nowhere").await, StatusCode::NOT_FOUND);
    assert_eq!(books(&quotas), (0, 0));
    assert_eq!(post_to(&app, "/remix").await, StatusCode::OK);
    assert_eq!(post_to(&app, "/remix").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn a_layer_of_one_feature_gives_back_what_an_unknown_path_held() {
    let quotas = engine(1);
    let layer = unrouted(&quotas).feature("remix").build().unwrap();
    let app = ok().layer(layer);
    for _ in 0..3 {
        assert_eq!(post_to(&app, "/nowhere").await, StatusCode::NOT_FOUND);
    }
    assert_eq!(post_to(&app, "/remix").await, StatusCode::OK);
}

#[tokio::test]
async fn a_layer_around_one_method_s_handler_meters_that_method() {
    let quotas = engine(0);
    let layer = unrouted(&quotas).feature("remix").build().unwrap();
    let handlers = get(async || "free").merge(post(async || "paid").layer(layer));
    let app = Router::new().route("/a", handlers);
    assert_eq!(post_to(&app, "/a").await, StatusCode::TOO_MANY_REQUESTS);
    let free = Request::get("/a").body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(free).await.unwrap().status(), StatusCode::OK);
}

/// What trims a slash between two routers must not open a way around the quota.
#[tokio::test]
async fn a_path_that_was_rewritten_on_the_way_counts_as_what_it_has_become() {
    let quotas = engine(0);
    let inner = Router::new().nest("/api/ai", ok()).layer(whole_path(&quotas));
    let rewritten = tower::service_fn(move |mut request: Request<Body>| {
        let path = request.uri().path().trim_end_matches('/').to_owned();
        *request.uri_mut() = path.parse().unwrap();
        inner.clone().oneshot(request)
    });
    let app = Router::new().fallback_service(rewritten);
    assert_eq!(post_to(&app, "/api/ai/remix/").await, StatusCode::TOO_MANY_REQUESTS);
}

//! Requests that meet several layers.

use std::convert::Infallible;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{QuotaHandle, QuotaLayer, Quotas};

use super::{engine, unrouted};
use crate::support::{books, payer, request, status};

/// Answers with the features of the handles that it was given, from the inner to the outer.
async fn features(request: Request<()>) -> Result<Response<Body>, Infallible> {
    let mut features = Vec::new();
    let mut next = request.extensions().get::<QuotaHandle>();
    while let Some(handle) = next {
        features.push(handle.standing().unwrap().feature().to_owned());
        next = handle.outer();
    }
    Ok(Response::new(Body::from(features.join(" "))))
}

fn layer(quotas: &Quotas, feature: &str) -> QuotaLayer {
    unrouted(quotas).feature(feature).build().unwrap()
}

/// What is used of both features.
fn used(quotas: &Quotas) -> (u64, u64) {
    let used = |feature| status(quotas, &payer(), feature).used();
    (used("remix"), used("chat"))
}

#[tokio::test]
async fn a_layer_that_is_met_twice_charges_once() {
    let quotas = engine(9);
    let remix = layer(&quotas, "remix");
    let service = ServiceBuilder::new().layer(remix.clone()).layer(remix).service_fn(features);
    let response = service.oneshot(request(Method::GET, "/")).await.unwrap();
    assert_eq!(response.headers().get_all("ratelimit").iter().count(), 1);
    assert_eq!(crate::support::text(response).await, "remix");
    assert_eq!(used(&quotas), (1, 0));
}

#[tokio::test]
async fn two_layers_both_charge_and_both_handles_can_be_reached() {
    let quotas = engine(9);
    let service = ServiceBuilder::new()
        .layer(layer(&quotas, "remix"))
        .layer(layer(&quotas, "chat"))
        .service_fn(features);
    let response = service.oneshot(request(Method::GET, "/")).await.unwrap();
    assert_eq!(response.headers().get_all("ratelimit").iter().count(), 2);
    assert_eq!(crate::support::text(response).await, "chat remix");
    assert_eq!(used(&quotas), (1, 1));
}

#[tokio::test]
async fn a_layer_that_is_met_again_within_another_charges_once() {
    let quotas = engine(9);
    let remix = layer(&quotas, "remix");
    let service = ServiceBuilder::new()
        .layer(remix.clone())
        .layer(layer(&quotas, "chat"))
        .layer(remix)
        .service_fn(features);
    let response = service.oneshot(request(Method::GET, "/")).await.unwrap();
    assert_eq!(crate::support::text(response).await, "chat remix");
    assert_eq!(used(&quotas), (1, 1));
}

/// Two layers that were built alike are two layers: each has its own routes to meter.
#[tokio::test]
async fn layers_that_were_built_alike_are_not_the_same() {
    let quotas = engine(9);
    let service = ServiceBuilder::new()
        .layer(layer(&quotas, "remix"))
        .layer(layer(&quotas, "remix"))
        .service_fn(features);
    let response = service.oneshot(request(Method::GET, "/")).await.unwrap();
    assert_eq!(crate::support::text(response).await, "remix remix");
    assert_eq!(used(&quotas), (2, 0));
}

#[tokio::test]
async fn what_the_inner_layer_denies_costs_nothing_of_the_outer() {
    let quotas = engine(1);
    let service = ServiceBuilder::new()
        .layer(layer(&quotas, "remix"))
        .layer(unrouted(&quotas).feature(tower_quota::Rule::new("chat").units(2)).build().unwrap())
        .service_fn(features);
    let response = service.oneshot(request(Method::GET, "/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(used(&quotas), (0, 0));
    assert_eq!(books(&quotas), (0, 0));
}

/// Each request of a client is its own, also where it passes the same layer as the one before.
#[tokio::test]
async fn each_request_is_charged() {
    let quotas = engine(9);
    let service = ServiceBuilder::new().layer(layer(&quotas, "remix")).service_fn(features);
    for _ in 0..3 {
        let response = service.clone().oneshot(request(Method::GET, "/"));
        drop(response.await.unwrap());
    }
    assert_eq!(used(&quotas), (3, 0));
}

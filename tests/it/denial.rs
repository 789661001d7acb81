//! What a denied client is told.

mod answers;
mod clock_ahead;
mod forwarded;
mod grpc;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    Limit, QuotaLayer, QuotaLayerBuilder, Quotas, Reservation, ResponseBody, Rule, Window,
};

use crate::support::{
    self, books, daily, get, granted, metered, noon, payer, remix, reserve, spend,
};

type Answer = Response<ResponseBody<Full<Bytes>>>;

/// A service that must not be reached.
async fn unreachable(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    panic!("a denied request reached the service");
}

/// The layer's answer to a request that it denies.
async fn denied_by(layer: QuotaLayer) -> Answer {
    layer.layer(service_fn(unreachable)).oneshot(get()).await.unwrap()
}

async fn denied(quotas: &Quotas) -> Answer {
    denied_by(metered(quotas).build().unwrap()).await
}

/// An engine whose only unit of the day is used.
fn used_up() -> Quotas {
    let quotas = daily(&noon(), 1);
    spend(&quotas, &payer(), 1);
    quotas
}

#[tokio::test]
async fn it_is_a_problem_document_that_names_the_limit_and_its_reset() {
    let response = denied(&used_up()).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["retry-after"], "43200");
    let problem = json!({
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Quota exceeded",
        "status": 429,
        "detail": "The quota for remix has no room for this request",
        "violated-policies": ["day"],
        "feature": "remix",
        "limit": 1,
        "used": 1,
        "held": 0,
        "remaining": 0,
        "resets_at": "2026-11-25T00:00:00Z",
    });
    assert_eq!(support::json(response).await, problem);
}

#[tokio::test]
async fn it_writes_nothing() {
    let quotas = used_up();
    for _ in 0..3 {
        denied(&quotas).await;
        assert_eq!(books(&quotas), (1, 0));
    }
}

#[tokio::test]
async fn it_tells_used_and_held_apart() {
    let quotas = daily(&noon(), 5);
    spend(&quotas, &payer(), 2);
    let held: Vec<Reservation> = (0..3).map(|_| granted(reserve(&quotas, &payer()))).collect();
    let problem = support::json(denied(&quotas).await).await;
    assert_eq!(counts(&problem), [5, 2, 3, 0]);
    drop(held);
}

/// Of a denial: limit, used, held and remaining.
fn counts(problem: &Value) -> [u64; 4] {
    ["limit", "used", "held", "remaining"].map(|member| problem[member].as_u64().unwrap())
}

/// A layer that takes so many units a request.
fn taking(units: u64, quotas: &Quotas) -> QuotaLayerBuilder {
    metered(quotas).feature(Rule::new("remix").units(units))
}

/// 2 are left where 5 are asked for: it says so, and how long to wait for 5.
#[tokio::test]
async fn it_may_leave_some() {
    let quotas = daily(&noon(), 6);
    spend(&quotas, &payer(), 4);
    let response = denied_by(taking(5, &quotas).build().unwrap()).await;
    assert_eq!(response.headers()["retry-after"], "43200");
    let problem = support::json(response).await;
    assert_eq!(counts(&problem), [6, 4, 0, 2]);
    assert_eq!(books(&quotas), (4, 0));
}

#[tokio::test]
async fn a_use_beyond_the_limit_shows() {
    let quotas = daily(&noon(), 5);
    support::now(quotas.debit(&payer(), "remix", 9)).unwrap();
    let problem = support::json(denied(&quotas).await).await;
    assert_eq!(counts(&problem), [5, 9, 0, 0]);
}

#[tokio::test]
async fn where_waiting_does_not_help_there_is_no_retry_after() {
    let response = denied(&daily(&noon(), 0)).await;
    assert!(!response.headers().contains_key("retry-after"), "limit 0");
    let problem = support::json(response).await;
    assert_eq!(counts(&problem), [0, 0, 0, 0]);
    assert_eq!(problem["resets_at"], "2026-11-25T00:00:00Z");

    let quotas = daily(&noon(), 5);
    for units in [6, u64::MAX] {
        let response = denied_by(taking(units, &quotas).build().unwrap()).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let headers = response.headers();
        assert!(!headers.contains_key("retry-after"), "{units} units of 5");
        assert_eq!(counts(&support::json(response).await), [5, 0, 0, 5]);
    }
}

#[tokio::test]
async fn a_lifetime_that_is_used_up_never_resets() {
    let quotas = remix(&noon(), [Limit::new(1, Window::Lifetime)]);
    spend(&quotas, &payer(), 1);
    let response = denied(&quotas).await;
    assert!(!response.headers().contains_key("retry-after"));
    let problem = support::json(response).await;
    assert_eq!(problem["resets_at"], Value::Null);
    assert!(problem.as_object().unwrap().contains_key("resets_at"));
    assert_eq!(problem["violated-policies"], json!(["lifetime"]));
}

/// All that tripped are named; the counts are those of the one that is waited for.
#[tokio::test]
async fn two_limits_that_tripped_are_both_named() {
    let limits = [
        Limit::new(10, Window::Month),
        Limit::new(2, Window::Day),
        Limit::new(3, Window::Hour).named("burst"),
        Limit::new(100, Window::Lifetime),
    ];
    let quotas = remix(&noon(), limits);
    support::now(quotas.debit(&payer(), "remix", 3)).unwrap();
    let response = denied(&quotas).await;
    assert_eq!(response.headers()["retry-after"], "43200");
    let problem = support::json(response).await;
    assert_eq!(problem["violated-policies"], json!(["day", "burst"]));
    assert_eq!(counts(&problem), [2, 3, 0, 0]);
    assert_eq!(problem["resets_at"], "2026-11-25T00:00:00Z");
}

/// One limit resets in an hour, the other never: there is no use in coming back.
#[tokio::test]
async fn a_limit_that_never_resets_outweighs_one_that_does() {
    let limits = [Limit::new(1, Window::Hour), Limit::new(1, Window::Lifetime)];
    let quotas = remix(&noon(), limits);
    spend(&quotas, &payer(), 1);
    let response = denied(&quotas).await;
    assert!(!response.headers().contains_key("retry-after"));
    let problem = support::json(response).await;
    assert_eq!(problem["violated-policies"], json!(["hour", "lifetime"]));
    assert_eq!(problem["resets_at"], Value::Null);
}

#[tokio::test]
async fn a_feature_that_the_plan_lacks_is_denied_with_limit_0() {
    let daily = [Limit::new(1, Window::Day)];
    let quotas = Quotas::builder()
        .plan(tower_quota::Plan::new("pro").feature("remix", daily.clone()))
        .plan(tower_quota::Plan::new("free").feature("chat", daily))
        .clock(noon())
        .build()
        .unwrap();
    let response = denied(&quotas).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(!response.headers().contains_key("retry-after"));
    assert_eq!(counts(&support::json(response).await), [0, 0, 0, 0]);
}

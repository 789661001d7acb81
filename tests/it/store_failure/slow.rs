//! A store whose answers take their time, as a remote one's do.

use std::convert::Infallible;
use std::future;

use bytes::Bytes;
use futures::future::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_quota::{OnStoreFailure, QuotaHandle, Quotas};

use crate::support::{Gate, SlowStore, books, daily_in, empty, get, metered};

fn slow(amount: u64) -> (Quotas, Gate) {
    let (store, gate) = SlowStore::new();
    (daily_in(store, amount), gate)
}

#[tokio::test]
async fn a_grant_is_held_and_settled_as_any_other() {
    let (quotas, gate) = slow(5);
    let inner = service_fn(|request: Request<()>| {
        let quota: &QuotaHandle = request.extensions().get().unwrap();
        assert_eq!(quota.remaining(), Some(4));
        future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("x"))))
    });
    let service = metered(&quotas).build().unwrap().layer(inner);
    let mut response = Box::pin(service.oneshot(get()));
    assert!((&mut response).now_or_never().is_none());
    gate.open();
    let response = response.await.unwrap();
    assert_eq!(response.headers()["ratelimit"], "\"day\";r=4;t=43200");
    assert_eq!(books(&quotas), (0, 1));
    response.into_body().collect().await.unwrap();
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn a_denial_is_answered_as_any_other() {
    let (quotas, gate) = slow(0);
    gate.open();
    let service = metered(&quotas).build().unwrap().layer(service_fn(empty));
    let denied = service.oneshot(get()).await.unwrap();
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(books(&quotas), (0, 0));
}

/// The store has granted, but nobody has heard it.
#[tokio::test]
async fn a_request_that_is_dropped_while_the_store_answers_holds_nothing() {
    let (quotas, gate) = slow(5);
    let mut service = metered(&quotas).build().unwrap().layer(service_fn(empty));
    let mut response = Box::pin(service.ready().await.unwrap().call(get()));
    assert!((&mut response).now_or_never().is_none());
    assert_eq!(books(&quotas), (0, 1));
    drop(response);
    assert_eq!(books(&quotas), (0, 0));
    gate.open();
    assert_eq!(books(&quotas), (0, 0));
}

#[tokio::test]
async fn a_request_that_is_dropped_unpolled_holds_nothing() {
    let (quotas, _gate) = slow(5);
    let mut service = metered(&quotas).build().unwrap().layer(service_fn(empty));
    drop(service.ready().await.unwrap().call(get()));
    assert_eq!(books(&quotas), (0, 0));
}

#[tokio::test]
async fn a_request_that_is_dropped_between_the_answer_and_the_service_holds_nothing() {
    let (quotas, gate) = slow(5);
    let inner =
        service_fn(|_: Request<()>| future::pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let mut service = metered(&quotas).build().unwrap().layer(inner);
    let mut response = Box::pin(service.ready().await.unwrap().call(get()));
    assert!((&mut response).now_or_never().is_none());
    gate.open();
    assert!((&mut response).now_or_never().is_none());
    assert_eq!(books(&quotas), (0, 1));
    drop(response);
    assert_eq!(books(&quotas), (0, 0));
}

#[tokio::test]
async fn requests_that_wait_together_are_decided_each_for_itself() {
    let (quotas, gate) = slow(2);
    let layer = metered(&quotas).on_store_failure(OnStoreFailure::Allow);
    let service = layer.build().unwrap().layer(service_fn(empty));
    let requests = (0..5).map(|_| service.clone().oneshot(get()));
    let open = async { gate.open() };
    let (responses, ()) = tokio::join!(biased; futures::future::join_all(requests), open);
    let denied = |response: &Result<Response<_>, Infallible>| {
        response.as_ref().unwrap().status() == StatusCode::TOO_MANY_REQUESTS
    };
    assert_eq!(responses.iter().filter(|it| denied(it)).count(), 3);
    drop(responses);
    assert_eq!(books(&quotas), (2, 0));
}

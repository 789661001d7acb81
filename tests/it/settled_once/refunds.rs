//! A cap on refunds: whoever fails on purpose pays from then on.

use std::convert::Infallible;
use std::future;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_quota::{Ending, Limit, Mode, QuotaHandle, QuotaLayerBuilder, Rule, Settlement, Window};

use super::{Broken, Scene, chunks, data};
use crate::support::{books, get, granted, metered, noon, payer, remix, reserve_units};

/// A day of 9 units, of which so many are refunded.
fn capped_to(cap: u64) -> Scene {
    capped_and(cap, |layer| layer)
}

fn capped_and(cap: u64, configure: impl FnOnce(QuotaLayerBuilder) -> QuotaLayerBuilder) -> Scene {
    Scene::over(remix(&noon(), [Limit::new(9, Window::Day).max_refunds(cap)]), configure)
}

fn status(status: u16) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// `r` of a response's `RateLimit`.
fn left(headers: &HeaderMap) -> u64 {
    let state = headers["ratelimit"].to_str().unwrap();
    let (_, parameters) = state.split_once(";r=").unwrap();
    parameters.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn error_responses_past_the_cap_stay_charged() {
    let scene = capped_to(2);
    for used in [0, 0, 1, 2] {
        scene.get(|| status(503)).await;
        scene.assert_settled(used);
    }
    scene.get(|| status(204)).await;
    scene.assert_settled(3);
}

#[tokio::test]
async fn headers_of_a_response_to_be_refunded_count_it_as_charged() {
    let scene = capped_to(1);
    let response = scene.get(|| status(503)).await;
    assert_eq!(left(response.headers()), 8);
    scene.assert_settled(0);
    let response = scene.get(|| status(503)).await;
    assert_eq!(left(response.headers()), 8);
    scene.assert_settled(1);
    // The next one says what has become of both.
    let response = scene.get(|| status(204)).await;
    assert_eq!(left(response.headers()), 7);
    // What the handler gives back needs nobody's leave.
    let inner = service_fn(async |request: Request<()>| {
        request.extensions().get::<QuotaHandle>().unwrap().release().unwrap();
        Ok::<_, Infallible>(status(204))
    });
    let response = scene.around(inner).oneshot(get()).await.unwrap();
    assert_eq!(left(response.headers()), 7);
}

#[tokio::test]
async fn a_handler_that_releases_uses_up_no_refund() {
    let scene = capped_to(1);
    let cached = service_fn(async |request: Request<()>| {
        request.extensions().get::<QuotaHandle>().unwrap().release().unwrap();
        Ok::<_, Infallible>(status(503))
    });
    for _ in 0..3 {
        scene.around(cached).oneshot(get()).await.unwrap();
        scene.assert_settled(0);
    }
    for used in [0, 1] {
        scene.get(|| status(503)).await;
        scene.assert_settled(used);
    }
    scene.around(cached).oneshot(get()).await.unwrap();
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_policy_that_charges_nothing_refunds_nothing() {
    let free = |layer: QuotaLayerBuilder| layer.outcome_policy(|_| Settlement::Charge(0));
    let scene = capped_and(0, free);
    for _ in 0..3 {
        scene.get(|| status(503)).await;
        scene.assert_settled(0);
    }
}

#[tokio::test]
async fn a_success_that_the_policy_releases_is_a_refund() {
    let scene = capped_and(1, |layer| layer.outcome_policy(|_| Settlement::Release));
    for used in [0, 1] {
        scene.get(|| status(200)).await;
        scene.assert_settled(used);
    }
}

#[tokio::test]
async fn bodies_that_fail_are_refunded_up_to_the_cap() {
    let scene = capped_to(2);
    let breaks = || Response::new(StreamBody::new(stream::iter([Ok(data("four")), Err(Broken)])));
    for used in [0, 0, 1] {
        let response = scene.get(breaks).await;
        response.into_body().collect().await.unwrap_err();
        scene.assert_settled(used);
    }
}

#[tokio::test]
async fn services_that_fail_are_refunded_up_to_the_cap() {
    let scene = capped_to(2);
    let inner = service_fn(|_| future::ready(Err::<Response<Empty<Bytes>>, _>(Broken)));
    for used in [0, 0, 1] {
        scene.around(inner).oneshot(get()).await.unwrap_err();
        scene.assert_settled(used);
    }
}

#[tokio::test]
async fn whoever_goes_away_is_refunded_up_to_the_cap() {
    type Answered = Result<Response<Empty<Bytes>>, Infallible>;
    let scene = capped_to(2);
    for used in [0, 0, 1] {
        let mut service = scene.around(service_fn(|_| future::pending::<Answered>()));
        drop(service.ready().await.unwrap().call(get()));
        scene.assert_settled(used);
    }
    // Also in the middle of a body, where that costs nothing.
    let scene = capped_and(2, |layer| {
        layer.outcome_policy(|outcome| match outcome.ending() {
            Ending::BodyDropped => Settlement::Release,
            _ => Settlement::Wait,
        })
    });
    for used in [0, 0, 1] {
        drop(scene.get(|| Response::new(chunks(["never read"]))).await);
        scene.assert_settled(used);
    }
}

#[tokio::test]
async fn calls_that_fail_are_refunded_up_to_the_cap() {
    let scene = capped_to(2);
    let fails = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
        let frames = [Ok::<_, Infallible>(data("message")), Ok(Frame::trailers(trailers))];
        let builder = Response::builder().header("content-type", "application/grpc");
        builder.body(StreamBody::new(stream::iter(frames))).unwrap()
    };
    for used in [0, 0, 1] {
        let response = scene.get(fails).await;
        response.into_body().collect().await.unwrap();
        scene.assert_settled(used);
    }
}

/// Those beside the first are a hold of their own each, of which each is refunded or not.
#[tokio::test]
async fn what_was_held_more_is_refunded_up_to_the_cap_too() {
    let quotas = remix(&noon(), [Limit::new(90, Window::Day).max_refunds(7)]);
    let rule = Rule::new("remix").units(5).hold_more_in_handler();
    let inner = service_fn(async |request: Request<()>| {
        let quota: &QuotaHandle = request.extensions().get().unwrap();
        quota.hold_more(4).await.unwrap();
        quota.hold_more(3).await.unwrap();
        Ok::<_, Infallible>(status(503))
    });
    let layer = metered(&quotas).feature(rule).build().unwrap();
    layer.layer(inner).oneshot(get()).await.unwrap();
    // Of 4, 3 and 5 the first two fit.
    assert_eq!(books(&quotas), (5, 0), "used and held");
}

/// In shadow mode counts are what they would be.
#[tokio::test]
async fn a_cap_counts_in_shadow_mode_and_not_where_nothing_is_metered() {
    let scene = capped_to(1);
    scene.quotas.set_mode(Mode::Shadow);
    for used in [0, 1] {
        scene.get(|| status(503)).await;
        scene.assert_settled(used);
    }
    scene.quotas.set_mode(Mode::Unmetered);
    scene.get(|| status(503)).await;
    scene.assert_settled(1);
}

/// Without a cap all is as it was: what fails costs nothing, and headers say so.
#[tokio::test]
async fn without_a_cap_every_failure_comes_back() {
    let scene = Scene::new();
    for _ in 0..10 {
        let response = scene.get(|| status(503)).await;
        assert_eq!(left(response.headers()), 5);
        scene.assert_settled(0);
    }
}

#[test]
fn whoever_uses_the_engine_alone_refunds_as_well() {
    let quotas = remix(&noon(), [Limit::new(9, Window::Day).max_refund_percent(50)]);
    for (units, used) in [(3, 0), (3, 3), (1, 3)] {
        granted(reserve_units(&quotas, &payer(), units)).refund();
        assert_eq!(books(&quotas), (used, 0), "used and held after {units} more");
    }
}

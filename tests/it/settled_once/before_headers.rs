//! Requests that never get as far as a response that succeeds.

use std::convert::Infallible;
use std::future;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use bytes::Bytes;
use futures::future::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Service, ServiceExt, service_fn};

use super::{Broken, Scene, chunks, panic_in_poll};
use crate::support::get;

type Answered = Result<Response<Full<Bytes>>, Infallible>;

#[tokio::test]
async fn an_error_status_is_released_with_the_headers() {
    for status in [400, 404, 409, 429, 499, 500, 503, 599] {
        let scene = Scene::new();
        let status = StatusCode::from_u16(status).unwrap();
        let answer = || {
            let mut response = Response::new(chunks(["sorry"]));
            *response.status_mut() = status;
            response
        };
        let response = scene.get(answer).await;
        assert_eq!(response.status(), status);
        scene.assert_settled(0);
        drop(response);
        scene.assert_settled(0);
    }
}

#[tokio::test]
async fn a_redirect_is_no_failure() {
    let scene = Scene::new();
    let moved = || {
        let builder = Response::builder().status(307);
        builder.body(Full::<Bytes>::default()).unwrap()
    };
    scene.get(moved).await;
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_service_error_releases() {
    let scene = Scene::new();
    let inner = service_fn(|_| future::ready(Err::<Response<Full<Bytes>>, _>(Broken)));
    let failed = scene.around(inner).oneshot(get()).await;
    assert_eq!(failed.unwrap_err(), Broken);
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_panic_in_the_service_s_call_releases() {
    let scene = Scene::new();
    let inner = service_fn(|_: Request<()>| -> future::Ready<Answered> { panic!("in call") });
    let mut service = scene.around(inner);
    service.ready().await.unwrap();
    let called = panic::catch_unwind(AssertUnwindSafe(|| drop(service.call(get()))));
    assert!(called.is_err());
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_panic_in_the_service_s_future_releases() {
    let scene = Scene::new();
    let inner = service_fn(|_| panic_in_poll());
    let polled = AssertUnwindSafe(scene.around(inner).oneshot(get()));
    assert!(polled.catch_unwind().await.is_err());
    scene.assert_settled(0);
}

/// The request works for ever.
fn stuck(_: Request<()>) -> future::Pending<Answered> {
    future::pending()
}

#[tokio::test(start_paused = true)]
async fn a_timeout_releases() {
    let scene = Scene::new();
    let response = scene.around(service_fn(stuck)).oneshot(get());
    let timeout = tokio::time::timeout(Duration::from_secs(30), response);
    assert!(timeout.await.is_err());
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_future_that_is_dropped_before_the_headers_releases() {
    let scene = Scene::new();
    let mut response = Box::pin(scene.around(service_fn(stuck)).oneshot(get()));
    assert!((&mut response).now_or_never().is_none());
    scene.assert_held();
    drop(response);
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_future_that_nobody_polls_releases() {
    let scene = Scene::new();
    let mut service = scene.around(service_fn(stuck));
    let response = service.ready().await.unwrap().call(get());
    scene.assert_held();
    drop(response);
    scene.assert_settled(0);
}

#[tokio::test]
async fn the_units_of_a_failure_are_there_for_the_next_request() {
    let scene = Scene::new();
    for _ in 0..10 {
        let unavailable = || {
            let builder = Response::builder().status(503);
            builder.body(Full::<Bytes>::default()).unwrap()
        };
        let response = scene.get(unavailable).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    scene.assert_settled(0);
}

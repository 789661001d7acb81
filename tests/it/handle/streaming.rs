//! A body that says what it costs as it goes.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{HandleError, QuotaHandle, Settlement};

use crate::support::{books, daily, get, metered, noon};

/// Streams three tokens, and says with each what they cost so far: 100, 200, 300.
async fn tokens(
    request: Request<()>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible> + Unpin>, Infallible> {
    let quota: QuotaHandle = request.extensions().get().cloned().unwrap();
    let frames = stream::iter(1..=3).map(move |tokens| {
        quota.charge(tokens * 100).unwrap();
        Ok::<_, Infallible>(Frame::data(Bytes::from("token")))
    });
    Ok(Response::new(StreamBody::new(frames)))
}

#[tokio::test]
async fn a_streaming_body_may_say_what_it_costs_as_it_goes() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).build().unwrap();
    let inner = service_fn(tokens);
    let mut service = layer.layer(inner);
    let stream = service.ready().await.unwrap().oneshot(get());
    stream.await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(books(&quotas), (300, 0));

    let stream = service.oneshot(get());
    let denied = stream.await.unwrap();
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_body_is_too_late_where_the_policy_has_decided_with_the_headers() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).outcome_policy(|_| Settlement::Commit);
    let inner = service_fn(async |request: Request<()>| {
        let quota: QuotaHandle = request.extensions().get().cloned().unwrap();
        let frames = stream::iter(1..=3).map(move |tokens| {
            let word = quota.charge(tokens);
            assert!(matches!(word, Err(HandleError::Settled)));
            Ok::<_, Infallible>(Frame::data(Bytes::from("token")))
        });
        Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
    });
    let service = layer.build().unwrap().layer(inner);
    let response = service.oneshot(get()).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn a_stream_that_is_cut_costs_what_it_said_last() {
    let quotas = daily(&noon(), 1_000);
    let layer = metered(&quotas).build().unwrap();
    let inner = service_fn(tokens);
    let mut body = layer.layer(inner).oneshot(get()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(books(&quotas), (200, 0));
}

//! Responses whose body is on its way.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::FutureExt;
use futures::stream::{self, StreamExt};
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};

use super::{Broken, Scene, chunks, data};

#[tokio::test]
async fn a_body_that_is_read_to_its_end_commits_there_and_not_before() {
    let scene = Scene::new();
    let response = scene.get(|| Response::new(chunks(["one", "two"]))).await;
    let mut body = response.into_body();
    scene.assert_held();
    for chunk in ["one", "two"] {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), chunk);
        scene.assert_held();
    }
    assert!(body.frame().await.is_none());
    scene.assert_settled(1);
    drop(body);
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_body_that_says_after_its_last_frame_that_it_has_ended_commits_with_that_frame() {
    let scene = Scene::new();
    let response = scene.get(|| Response::new(Full::from("all"))).await;
    let mut body = response.into_body();
    scene.assert_held();
    body.frame().await.unwrap().unwrap();
    scene.assert_settled(1);
}

#[tokio::test]
async fn an_empty_body_commits_with_the_headers() {
    let scene = Scene::new();
    let response = scene.get(|| Response::new(Full::<Bytes>::default())).await;
    scene.assert_settled(1);
    drop(response);
    scene.assert_settled(1);
}

/// Two frames with the length that `content-length` announces; the server does not poll it again.
#[tokio::test]
async fn a_body_of_its_content_length_commits_when_it_is_dropped_after_the_last_byte() {
    let scene = Scene::with(refund_what_was_not_read);
    let announced = || {
        let builder = Response::builder().header(CONTENT_LENGTH, 6);
        builder.body(chunks(["one", "two"])).unwrap()
    };
    let mut body = scene.get(announced).await.into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    scene.assert_held();
    drop(body);
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_body_one_byte_short_of_its_content_length_was_dropped_midway() {
    let scene = Scene::with(refund_what_was_not_read);
    let announced = || {
        let builder = Response::builder().header(CONTENT_LENGTH, 7);
        builder.body(chunks(["one", "two"])).unwrap()
    };
    let mut body = scene.get(announced).await.into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_body_that_knows_its_length_needs_no_content_length() {
    let scene = Scene::with(refund_what_was_not_read);
    let mut body = scene.get(|| Response::new(Measured(3))).await.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_body_error_releases() {
    let scene = Scene::new();
    let breaks = || Response::new(StreamBody::new(stream::iter([Ok(data("one")), Err(Broken)])));
    let mut body = scene.get(breaks).await.into_body();
    body.frame().await.unwrap().unwrap();
    scene.assert_held();
    assert_eq!(body.frame().await.unwrap().unwrap_err(), Broken);
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_body_that_is_dropped_midway_commits() {
    let scene = Scene::new();
    let response = scene.get(|| Response::new(chunks(["one", "two"]))).await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    scene.assert_held();
    drop(body);
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_body_that_is_dropped_while_it_waits_commits() {
    let scene = Scene::new();
    let waits = || {
        let frames = stream::iter([Ok::<_, Infallible>(data("one"))]).chain(stream::pending());
        Response::new(StreamBody::new(frames))
    };
    let mut body = scene.get(waits).await.into_body();
    body.frame().await.unwrap().unwrap();
    assert!(body.frame().now_or_never().is_none());
    scene.assert_held();
    drop(body);
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_body_that_is_dropped_unpolled_commits() {
    let scene = Scene::new();
    let response = scene.get(|| Response::new(chunks(["one"]))).await;
    scene.assert_held();
    drop(response);
    scene.assert_settled(1);
}

#[tokio::test]
async fn trailers_end_a_body_as_its_end_does() {
    let scene = Scene::new();
    let trailed = || {
        let trailers = Ok(Frame::trailers(http::HeaderMap::new()));
        let frames = [Ok::<_, Infallible>(data("one")), trailers];
        Response::new(StreamBody::new(stream::iter(frames)))
    };
    let collected = scene.get(trailed).await.into_body().collect().await;
    assert!(collected.unwrap().trailers().is_some());
    scene.assert_settled(1);
}

/// A policy by which it shows how the layer took the end of a body.
fn refund_what_was_not_read(
    layer: tower_quota::QuotaLayerBuilder,
) -> tower_quota::QuotaLayerBuilder {
    layer.outcome_policy(|outcome| match outcome.ending() {
        tower_quota::Ending::BodyDropped => tower_quota::Settlement::Release,
        _ => outcome.settlement(),
    })
}

/// So many bytes in one frame: it knows its length, but never says that it has ended.
#[derive(Debug)]
struct Measured(u64);

impl Body for Measured {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = usize::try_from(std::mem::take(&mut self.0)).unwrap();
        let frame = (length > 0).then(|| Ok(Frame::data(Bytes::from(vec![b'x'; length]))));
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

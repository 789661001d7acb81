//! Bodies that panic.

use std::convert::Infallible;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::FutureExt;
use futures::stream::{self, StreamExt};
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};

use super::{Scene, data};

#[tokio::test]
async fn a_panic_in_the_body_releases() {
    let scene = Scene::new();
    let panics = || {
        let frames = stream::iter([0, 1]).map(|index| match index {
            0 => Ok::<_, Infallible>(data("one")),
            _ => panic!("in the body"),
        });
        Response::new(StreamBody::new(frames))
    };
    let mut body = scene.get(panics).await.into_body();
    body.frame().await.unwrap().unwrap();
    let polled = AssertUnwindSafe(body.frame()).catch_unwind().await;
    assert!(polled.is_err());
    drop(body);
    scene.assert_settled(0);
}

/// A body is asked for more than its frames, and any of it may panic.
#[tokio::test]
async fn a_panic_in_a_body_s_length_releases() {
    let scene = Scene::new();
    let asked = scene.get(|| Response::new(Mute::at_its_length()));
    assert!(AssertUnwindSafe(asked).catch_unwind().await.is_err());
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_panic_in_a_body_s_end_releases() {
    let scene = Scene::new();
    let response = scene.get(|| Response::new(Mute::at_its_end()));
    let mut body = response.await.into_body();
    let polled = AssertUnwindSafe(body.frame()).catch_unwind().await;
    assert!(polled.is_err());
    drop(body);
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_body_that_panics_when_it_is_dropped_is_settled_all_the_same() {
    let scene = Scene::new();
    let response = scene.get(|| Response::new(Grenade)).await;
    scene.assert_held();
    let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(response)));
    assert!(dropped.is_err());
    scene.assert_settled(1);
}

/// It panics when it is asked for its length, or else whether its only frame was the last.
#[derive(Debug)]
struct Mute {
    size_hint: bool,
    polled: bool,
}

impl Mute {
    fn at_its_length() -> Self {
        Self { size_hint: true, polled: false }
    }

    fn at_its_end() -> Self {
        Self { size_hint: false, polled: false }
    }
}

impl Body for Mute {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.polled = true;
        Poll::Ready(Some(Ok(data("one"))))
    }

    fn size_hint(&self) -> SizeHint {
        assert!(!self.size_hint, "in size_hint");
        SizeHint::default()
    }

    fn is_end_stream(&self) -> bool {
        assert!(!self.polled, "in is_end_stream");
        false
    }
}

/// It panics when it is dropped.
#[derive(Debug)]
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

impl Body for Grenade {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

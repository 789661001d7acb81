//! Streams over real servers of HTTP/1.1 and HTTP/2, to clients that stay and clients that go away.

mod many;
mod wire;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use futures::stream;
use http::{HeaderMap, Response, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tower_quota::{Ending, Outcome, Settlement};

use super::{Broken, data};
use crate::support::books;
use wire::{Answer, Stage, VERSIONS, by_default};

const FIRST: &str = "data: one\n\n";
const LAST: &str = "data: [DONE]\n\n";
const ALL: u64 = (FIRST.len() + LAST.len()) as u64;

type Frames = mpsc::Sender<Result<Frame<Bytes>, Broken>>;

/// A body that the test feeds. It ends when the feeder is dropped.
fn fed() -> (Frames, Answer) {
    let (frames, receiver) = mpsc::channel(8);
    (frames, BodyExt::boxed(StreamBody::new(receiver)))
}

/// How a client goes away.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// The wire is cut.
    Cut,
    /// It gives the one request up: over HTTP/2 that resets its stream, and the connection lives on.
    GiveUp,
}

/// Each version, and each way to go away.
fn departures() -> impl Iterator<Item = (Version, Leaving)> {
    VERSIONS.into_iter().flat_map(|it| [(it, Leaving::Cut), (it, Leaving::GiveUp)])
}

impl Leaving {
    fn from(self, stage: &Stage, response: Response<Incoming>) {
        match self {
            Self::Cut => stage.cut(),
            Self::GiveUp => drop(response),
        }
    }
}

/// Hears so many bytes of a stream, and no more.
async fn hear(response: &mut Response<Incoming>, bytes: u64) {
    let mut heard = 0;
    while heard < bytes {
        let frame = response.frame().await.unwrap().unwrap();
        heard += frame.into_data().unwrap().len() as u64;
    }
    assert_eq!(heard, bytes);
}

#[tokio::test]
async fn a_stream_that_is_heard_to_its_end_is_complete() {
    for version in VERSIONS {
        let mut stage = Stage::over(version).await;
        let (mut frames, answer) = fed();
        let mut response = stage.begin(answer).await;
        assert_eq!(response.version(), version);
        frames.send(Ok(data(FIRST))).await.unwrap();
        hear(&mut response, FIRST.len() as u64).await;
        stage.scene.assert_held();
        frames.send(Ok(data(LAST))).await.unwrap();
        drop(frames);
        assert_eq!(response.collect().await.unwrap().to_bytes(), LAST);
        assert_eq!(stage.ending().await, (Ending::Complete, ALL), "{version:?}");
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(1);
    }
}

#[tokio::test]
async fn who_goes_away_before_the_headers_pays_nothing() {
    for (version, leaving) in departures() {
        let mut stage = Stage::over(version).await;
        let (sent, _answers) = stage.send().await;
        stage.scene.assert_held();
        match leaving {
            Leaving::Cut => stage.cut(),
            Leaving::GiveUp => sent.abort(),
        }
        assert_eq!(stage.ending().await, (Ending::Dropped, 0), "{version:?} {leaving:?}");
        stage.scene.assert_settled(0);
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(0);
    }
}

#[tokio::test]
async fn who_goes_away_after_the_headers_alone_pays() {
    for (version, leaving) in departures() {
        let mut stage = Stage::over(version).await;
        let (_frames, answer) = fed();
        let response = stage.begin(answer).await;
        leaving.from(&stage, response);
        assert_eq!(stage.ending().await, (Ending::BodyDropped, 0), "{version:?} {leaving:?}");
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(1);
    }
}

#[tokio::test]
async fn who_goes_away_midway_pays_and_the_policy_sees_how_far_it_got() {
    for (version, leaving) in departures() {
        let mut stage = Stage::over(version).await;
        let (mut frames, answer) = fed();
        let mut response = stage.begin(answer).await;
        frames.send(Ok(data(FIRST))).await.unwrap();
        hear(&mut response, FIRST.len() as u64).await;
        stage.scene.assert_held();
        leaving.from(&stage, response);
        let midway = (Ending::BodyDropped, FIRST.len() as u64);
        assert_eq!(stage.ending().await, midway, "{version:?} {leaving:?}");
        // Nobody feeds a stream that nobody hears.
        assert!(frames.is_closed());
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(1);
    }
}

/// What is in buffers and on the wire went out, though nobody has heard it; there is only so much.
#[tokio::test]
async fn an_endless_stream_goes_out_as_far_as_it_is_heard_and_no_further_than_buffers_are() {
    const CHUNK: u64 = 16 * 1024;
    const BUFFERS: u64 = 8 * 1024 * 1024;
    for (version, leaving) in departures() {
        let mut stage = Stage::over(version).await;
        let endless = stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b'.'; 16 * 1024]))));
        let mut response = stage.begin(BodyExt::boxed(StreamBody::new(endless))).await;
        let mut heard = 0;
        while heard < 4 * CHUNK {
            let frame = response.frame().await.unwrap().unwrap();
            heard += frame.into_data().unwrap().len() as u64;
        }
        leaving.from(&stage, response);
        let (ending, bytes) = stage.ending().await;
        assert_eq!(ending, Ending::BodyDropped, "{version:?} {leaving:?}");
        assert_eq!(bytes % CHUNK, 0);
        assert!((heard..BUFFERS).contains(&bytes), "{version:?} {leaving:?}: {bytes} of {heard}");
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(1);
    }
}

/// A unit for each byte.
fn by_bytes(outcome: &Outcome<'_>) -> Settlement {
    match outcome.ending() {
        Ending::Headers => Settlement::Wait,
        _ => Settlement::Charge(outcome.body_bytes()),
    }
}

#[tokio::test]
async fn a_policy_may_charge_by_the_bytes_that_went_out() {
    for (version, leaving) in departures() {
        let mut stage = Stage::with(version, None, by_bytes).await;
        let (mut frames, answer) = fed();
        let mut response = stage.begin(answer).await;
        frames.send(Ok(data(FIRST))).await.unwrap();
        hear(&mut response, FIRST.len() as u64).await;
        leaving.from(&stage, response);
        stage.ending().await;
        stage.close().await.assert_settled(FIRST.len() as u64);
    }
}

/// The client of an event stream closes as soon as it has heard the last event.
#[tokio::test]
async fn who_goes_away_right_after_the_last_chunk_has_heard_it_all() {
    for (version, leaving) in departures() {
        let mut stage = Stage::over(version).await;
        let (mut frames, answer) = fed();
        let mut response = stage.begin(answer).await;
        frames.send(Ok(data(FIRST))).await.unwrap();
        frames.send(Ok(data(LAST))).await.unwrap();
        drop(frames);
        hear(&mut response, ALL).await;
        leaving.from(&stage, response);
        assert_eq!(stage.ending().await, (Ending::Complete, ALL), "{version:?} {leaving:?}");
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(1);
    }
}

/// The feeder lingers; that all was said is seen by the length that was announced.
#[tokio::test]
async fn so_has_who_goes_away_after_as_many_bytes_as_were_announced() {
    for (version, leaving) in departures() {
        let mut stage = Stage::with(version, Some(ALL), by_default).await;
        let (mut frames, answer) = fed();
        let mut response = stage.begin(answer).await;
        frames.send(Ok(data(FIRST))).await.unwrap();
        frames.send(Ok(data(LAST))).await.unwrap();
        hear(&mut response, ALL).await;
        leaving.from(&stage, response);
        assert_eq!(stage.ending().await, (Ending::Complete, ALL), "{version:?} {leaving:?}");
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(1);
    }
}

/// The server does not ask a body on that says itself, with its last chunk, that this was all.
#[tokio::test]
async fn a_body_that_says_that_it_has_ended_is_complete_with_its_last_chunk() {
    for (version, leaving) in departures() {
        let mut stage = Stage::over(version).await;
        let frames = [FIRST, LAST].map(Bytes::from).into_iter();
        let mut response = stage.begin(BodyExt::boxed(Knowing(frames))).await;
        hear(&mut response, ALL).await;
        leaving.from(&stage, response);
        assert_eq!(stage.ending().await, (Ending::Complete, ALL), "{version:?} {leaving:?}");
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(1);
    }
}

#[tokio::test]
async fn a_stream_that_fails_midway_releases() {
    for version in VERSIONS {
        let mut stage = Stage::over(version).await;
        let (mut frames, answer) = fed();
        let mut response = stage.begin(answer).await;
        frames.send(Ok(data(FIRST))).await.unwrap();
        hear(&mut response, FIRST.len() as u64).await;
        frames.send(Err(Broken)).await.unwrap();
        response.frame().await.unwrap().unwrap_err();
        let failed = (Ending::BodyError, FIRST.len() as u64);
        assert_eq!(stage.ending().await, failed, "{version:?}");
        drop(response);
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(0);
    }
}

/// A server asks nothing more of a body that has said its trailers.
#[tokio::test]
async fn trailers_end_a_stream_and_may_say_that_it_has_failed() {
    for (status, used) in [(0, 1), (13, 0)] {
        let mut stage = Stage::over(Version::HTTP_2).await;
        let (mut frames, answer) = fed();
        let response = stage.begin(answer).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.into());
        frames.send(Ok(data(FIRST))).await.unwrap();
        frames.send(Ok(Frame::trailers(trailers))).await.unwrap();
        let body = response.collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], status.to_string());
        assert_eq!(stage.ending().await, (Ending::Complete, FIRST.len() as u64));
        stage.assert_nothing_else_ended();
        stage.close().await.assert_settled(used);
    }
}

/// A body that knows how many chunks it has, but not how long they are.
struct Knowing(std::array::IntoIter<Bytes, 2>);

impl Body for Knowing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = self.0.next().expect("it was said to have ended");
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.len() == 0
    }
}

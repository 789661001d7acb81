//! Streaming bodies that outlive the leases of what is held for them.

use std::convert::Infallible;
use std::future;
use std::io;
use std::sync::Mutex;

use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::store::RemoteOptions;
use tower_quota::{Check, QuotaHandle, ResponseBody, Rule};

use super::{Scene, pass, secs};
use crate::support::remote_books::{Fault, Verb};
use crate::support::{get, metered};

type Frames = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;
type Fed = StreamBody<mpsc::Receiver<Result<Frame<Bytes>, io::Error>>>;

/// A response on its way, which the test feeds.
struct Stream {
    frames: Frames,
    body: ResponseBody<Fed>,
    quota: QuotaHandle,
}

impl Stream {
    /// Has begun: its headers are there.
    async fn begin(scene: &Scene) -> Self {
        let rule = Rule::new("remix").hold_more_in_handler();
        let layer = metered(&scene.quotas).feature(rule).build().unwrap();
        let (frames, receiver) = mpsc::channel(1);
        let answers = Mutex::new(Some(receiver));
        let inner = service_fn(|request: Request<()>| {
            let body = StreamBody::new(answers.lock().unwrap().take().unwrap());
            let mut response = Response::new(body);
            *response.extensions_mut() = request.extensions().clone();
            future::ready(Ok::<_, Infallible>(response))
        });
        let response = layer.layer(inner).oneshot(get()).await.unwrap();
        let quota = response.extensions().get::<QuotaHandle>().cloned().unwrap();
        Self { frames, body: response.into_body(), quota }
    }

    /// Says something, and is heard.
    async fn say(&mut self, what: Result<&'static str, io::Error>) -> Result<Bytes, io::Error> {
        let frame = what.map(|text| Frame::data(Bytes::from(text)));
        self.frames.send(frame).await.unwrap();
        self.body.frame().await.unwrap().map(|frame| frame.into_data().unwrap())
    }

    /// Goes on for so many seconds, in which so much is held in the books.
    async fn go_on(&mut self, scene: &Scene, seconds: u64, held: u64) {
        for _ in 0..seconds {
            assert_eq!(self.say(Ok("tick")).await.unwrap(), "tick");
            pass(secs(1)).await;
            scene.assert_books(0, held);
        }
    }
}

/// Settled once for each hold, and renewed no more.
async fn assert_ended(scene: &Scene, used: u64, holds: usize) {
    scene.flush().await;
    scene.assert_books(used, 0);
    let renewals = scene.wire.calls(Verb::Renew);
    pass(secs(300)).await;
    scene.assert_books(used, 0);
    assert_eq!(scene.wire.settled().len(), holds, "settlements that changed something");
    assert_eq!(scene.wire.calls(Verb::Settle), 1, "calls that settle");
    assert_eq!(scene.wire.calls(Verb::Renew), renewals, "nothing is left to renew");
}

#[tokio::test(start_paused = true)]
async fn a_body_outlives_five_leases_and_is_committed_once() {
    let scene = Scene::new(1);
    let other = Scene::on(scene.wire.another(), 1, RemoteOptions::new());
    let mut stream = Stream::begin(&scene).await;
    for _ in 0..5 {
        stream.go_on(&scene, 60, 1).await;
        other.denied(1).await;
    }
    let renewals = scene.wire.calls(Verb::Renew);
    assert!((14..=20).contains(&renewals), "{renewals} renewals");
    drop(stream.frames);
    assert!(stream.body.frame().await.is_none());
    drop(stream.body);
    assert_ended(&scene, 1, 1).await;
    other.denied(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_polls_for_minutes_keeps_its_hold_too() {
    let scene = Scene::new(1);
    let mut stream = Stream::begin(&scene).await;
    for _ in 0..200 {
        pass(secs(1)).await;
        scene.assert_books(0, 1);
    }
    stream.go_on(&scene, 1, 1).await;
    drop(stream);
    assert_ended(&scene, 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_after_a_renewal_is_settled_once() {
    for seconds in [21, 59, 61, 150] {
        let scene = Scene::new(1);
        let mut stream = Stream::begin(&scene).await;
        stream.go_on(&scene, seconds, 1).await;
        assert!(scene.wire.calls(Verb::Renew) > 0);
        drop(stream);
        assert_ended(&scene, 1, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_after_renewals_gives_its_unit_back_once() {
    let scene = Scene::new(1);
    let mut stream = Stream::begin(&scene).await;
    stream.go_on(&scene, 150, 1).await;
    stream.say(Err(io::Error::other("the source has run dry"))).await.unwrap_err();
    drop(stream);
    assert_ended(&scene, 0, 1).await;
    scene.reserve(1).await.commit();
}

#[tokio::test(start_paused = true)]
async fn what_a_body_holds_beside_is_renewed_with_it() {
    let scene = Scene::new(3);
    let mut stream = Stream::begin(&scene).await;
    stream.go_on(&scene, 45, 1).await;
    assert!(matches!(stream.quota.hold_more(2).await, Ok(Check::Allowed(_))));
    stream.go_on(&scene, 180, 3).await;
    drop(stream);
    assert_ended(&scene, 3, 2).await;
}

/// Its units come back when the lease ends, and are charged all the same when it has ended itself.
#[tokio::test(start_paused = true)]
async fn a_body_whose_lease_could_not_be_renewed_is_charged_once_in_the_end() {
    let scene = Scene::new(1);
    let mut stream = Stream::begin(&scene).await;
    stream.go_on(&scene, 50, 1).await;
    scene.wire.cut(Fault::Lost);
    pass(secs(120)).await;
    scene.assert_books(0, 0);
    scene.wire.mend();
    stream.say(Ok("last")).await.unwrap();
    drop(stream);
    scene.flush().await;
    scene.assert_books(1, 0);
    assert_eq!(scene.wire.settled().len(), 1);
}

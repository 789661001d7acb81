//! A policy of one's own decides what each outcome costs.

use std::convert::Infallible;
use std::future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::FutureExt;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{Service, ServiceExt, service_fn};
use tower_quota::{Ending, Outcome, Settlement};

use super::{Broken, Scene, chunks, data, panic_in_poll};
use crate::support::get;

/// What a policy was asked, each time.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Asked>>>);

type Asked = (Ending, Option<StatusCode>, u64);

impl Log {
    /// A scene whose policy keeps this log and answers as `policy`.
    fn scene(&self, policy: impl Fn(&Outcome<'_>) -> Settlement + Send + Sync + 'static) -> Scene {
        let log = self.0.clone();
        let logged = move |outcome: &Outcome<'_>| {
            let asked = (outcome.ending(), outcome.status(), outcome.body_bytes());
            log.lock().unwrap().push(asked);
            policy(outcome)
        };
        Scene::with(|layer| layer.outcome_policy(logged))
    }

    fn entries(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }
}

type Framed = Result<Frame<Bytes>, Infallible>;

fn default(outcome: &Outcome<'_>) -> Settlement {
    outcome.settlement()
}

const OK: Option<StatusCode> = Some(StatusCode::OK);

#[tokio::test]
async fn it_is_asked_with_the_headers_and_again_at_the_end_if_it_waited() {
    let log = Log::default();
    let scene = log.scene(default);
    let response = scene.get(|| Response::new(chunks(["one", "two"]))).await;
    assert_eq!(log.entries(), [(Ending::Headers, OK, 0)]);
    response.into_body().collect().await.unwrap();
    let asked = [(Ending::Headers, OK, 0), (Ending::Complete, OK, 6)];
    assert_eq!(log.entries(), asked);
    scene.assert_settled(1);
}

#[tokio::test]
async fn it_is_not_asked_again_once_it_has_decided() {
    for settlement in [Settlement::Commit, Settlement::Charge(2), Settlement::Release] {
        let log = Log::default();
        let scene = log.scene(move |_| settlement);
        let response = scene.get(|| Response::new(chunks(["one"]))).await;
        let used = match settlement {
            Settlement::Charge(units) => units,
            Settlement::Release => 0,
            _ => 1,
        };
        scene.assert_settled(used);
        response.into_body().collect().await.unwrap();
        assert_eq!(log.entries(), [(Ending::Headers, OK, 0)]);
        scene.assert_settled(used);
    }
}

#[tokio::test]
async fn it_is_asked_once_about_a_response_without_a_body() {
    let log = Log::default();
    let scene = log.scene(default);
    scene.get(|| Response::new(Empty::new())).await;
    assert_eq!(log.entries(), [(Ending::Complete, OK, 0)]);

    let log = Log::default();
    let scene = log.scene(default);
    let head = || Response::new(chunks(["never read"]));
    scene.answer(Method::HEAD, head).await;
    assert_eq!(log.entries(), [(Ending::Complete, OK, 0)]);
}

#[tokio::test]
async fn it_hears_that_the_service_failed() {
    let log = Log::default();
    let scene = log.scene(default);
    let inner = service_fn(|_| future::ready(Err::<Response<Full<Bytes>>, _>(Broken)));
    scene.around(inner).oneshot(get()).await.unwrap_err();
    assert_eq!(log.entries(), [(Ending::ServiceError, None, 0)]);
}

#[tokio::test]
async fn it_hears_that_the_service_panicked() {
    let log = Log::default();
    let scene = log.scene(default);
    panic_in_service(&scene).await;
    assert_eq!(log.entries(), [(Ending::Panic, None, 0)]);

    let log = Log::default();
    let scene = log.scene(default);
    let inner = service_fn(|_| panic_in_poll());
    let polled = AssertUnwindSafe(scene.around(inner).oneshot(get()));
    polled.catch_unwind().await.unwrap_err();
    assert_eq!(log.entries(), [(Ending::Panic, None, 0)]);
}

#[tokio::test]
async fn it_hears_that_the_request_was_dropped() {
    let log = Log::default();
    let scene = log.scene(default);
    drop_before_headers(&scene).await;
    assert_eq!(log.entries(), [(Ending::Dropped, None, 0)]);
}

#[tokio::test]
async fn it_hears_of_the_body_s_error_panic_and_drop_and_how_many_bytes_were_read() {
    let log = Log::default();
    let scene = log.scene(default);
    let breaks = || Response::new(StreamBody::new(stream::iter([Ok(data("four")), Err(Broken)])));
    let body = scene.get(breaks).await.into_body();
    body.collect().await.unwrap_err();
    assert_eq!(log.entries()[1..], [(Ending::BodyError, OK, 4)]);

    let log = Log::default();
    let scene = log.scene(default);
    let panics = || {
        let panics = |_: &mut Context<'_>| -> Poll<Option<Framed>> { panic!("in the body") };
        Response::new(StreamBody::new(stream::poll_fn(panics)))
    };
    let body = scene.get(panics).await.into_body();
    AssertUnwindSafe(body.collect()).catch_unwind().await.unwrap_err();
    assert_eq!(log.entries()[1..], [(Ending::Panic, OK, 0)]);

    let log = Log::default();
    let scene = log.scene(default);
    let three = || Response::new(chunks(["12345", "678", "never read"]));
    let mut body = scene.get(three).await.into_body();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(log.entries()[1..], [(Ending::BodyDropped, OK, 8)]);
}

#[tokio::test]
async fn it_sees_the_response_s_headers_while_they_are_at_hand() {
    let scene = Scene::with(|layer| {
        layer.outcome_policy(|outcome| match outcome.headers() {
            Some(headers) if headers.contains_key("x-cache-hit") => Settlement::Release,
            Some(_) => Settlement::Wait,
            None => Settlement::Charge(4),
        })
    });
    let hit = || {
        let builder = Response::builder().header("x-cache-hit", "1");
        builder.body(chunks(["old"])).unwrap()
    };
    let response = scene.get(hit).await;
    scene.assert_settled(0);
    drop(response);
    let response = scene.get(|| Response::new(chunks(["new"]))).await;
    scene.assert_held();
    drop(response);
    scene.assert_settled(4);
}

#[tokio::test]
async fn it_sees_the_grpc_status() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let scene = Scene::with(|layer| {
        layer.outcome_policy(move |outcome| {
            log.lock().unwrap().push((outcome.grpc_status(), outcome.is_failure()));
            Settlement::Wait
        })
    });
    let grpc = || {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("7"));
        let frames = [Ok::<_, Infallible>(data("message")), Ok(Frame::trailers(trailers))];
        let builder = Response::builder().header("content-type", "application/grpc");
        let body = StreamBody::new(stream::iter(frames));
        builder.body(body).unwrap()
    };
    let response = scene.get(grpc).await;
    response.into_body().collect().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [(None, false), (Some(7), true)]);
}

#[tokio::test]
async fn it_may_make_those_pay_who_go_away_before_the_answer() {
    let scene = Scene::with(|layer| {
        layer.outcome_policy(|outcome| match outcome.ending() {
            Ending::Dropped => Settlement::Commit,
            _ => outcome.settlement(),
        })
    });
    drop_before_headers(&scene).await;
    scene.assert_settled(1);
}

#[tokio::test]
async fn it_may_charge_more_than_was_held() {
    let scene = Scene::with(|layer| layer.outcome_policy(|_| Settlement::Charge(812)));
    scene.get(|| Response::new(chunks(["one"]))).await;
    scene.assert_settled(812);
}

#[tokio::test]
async fn it_may_release_a_success() {
    let scene = Scene::with(|layer| layer.outcome_policy(|_| Settlement::Release));
    scene.get(|| Response::new(chunks(["one"]))).await;
    scene.assert_settled(0);
}

#[tokio::test]
async fn it_may_keep_a_failure() {
    let scene = Scene::with(|layer| layer.outcome_policy(|_| Settlement::Commit));
    panic_in_service(&scene).await;
    scene.assert_settled(1);
}

#[tokio::test]
async fn it_cannot_wait_beyond_the_end() {
    let scene = Scene::with(|layer| layer.outcome_policy(|_| Settlement::Wait));
    let response = scene.get(|| Response::new(chunks(["one"]))).await;
    scene.assert_held();
    response.into_body().collect().await.unwrap();
    scene.assert_settled(1);

    let scene = Scene::with(|layer| layer.outcome_policy(|_| Settlement::Wait));
    scene.get(|| Response::new(Empty::new())).await;
    scene.assert_settled(1);
}

#[tokio::test]
async fn where_it_panics_the_default_is_taken() {
    let scene = Scene::with(|layer| layer.outcome_policy(|_| panic!("in the policy")));
    let response = scene.get(|| Response::new(chunks(["one"]))).await;
    scene.assert_held();
    response.into_body().collect().await.unwrap();
    scene.assert_settled(1);

    let scene = Scene::with(|layer| layer.outcome_policy(|_| panic!("in the policy")));
    drop_before_headers(&scene).await;
    scene.assert_settled(0);
}

/// A panic that leaves a destructor while another unwinds aborts the process.
#[tokio::test]
async fn where_it_panics_while_a_panic_unwinds_nothing_aborts() {
    let scene = Scene::with(|layer| layer.outcome_policy(|_| panic!("in the policy")));
    panic_in_service(&scene).await;
    scene.assert_settled(0);
}

async fn panic_in_service(scene: &Scene) {
    type Answered = Result<Response<Full<Bytes>>, Infallible>;
    let inner = service_fn(|_: Request<()>| -> future::Ready<Answered> { panic!("in call") });
    let polled = AssertUnwindSafe(scene.around(inner).oneshot(get()));
    polled.catch_unwind().await.unwrap_err();
}

async fn drop_before_headers(scene: &Scene) {
    type Answered = Result<Response<Full<Bytes>>, Infallible>;
    let mut service = scene.around(service_fn(|_| future::pending::<Answered>()));
    drop(service.ready().await.unwrap().call(get()));
}

//! Law 8: the layer calls the service that was polled ready, and adds nothing to its types.

mod types;

use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::FutureExt;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_quota::{QuotaLayer, Quotas, ResponseBody};
use tower_test::mock;

use crate::support::{Gate, SlowStore, books, daily, daily_in, get, metered, noon, text};

/// A layer whose decisions are ready at once.
fn prompt() -> (Quotas, QuotaLayer) {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).build().unwrap();
    (quotas, layer)
}

/// A layer whose decisions wait for the gate.
fn slow() -> (Quotas, QuotaLayer, Gate) {
    let (store, gate) = SlowStore::new();
    let quotas = daily_in(store, 5);
    let layer = metered(&quotas).build().unwrap();
    (quotas, layer, gate)
}

type Reply = Response<Empty<Bytes>>;
type Exchange = (Request<()>, mock::SendResponse<Reply>);
type MockPair = (mock::Mock<Request<()>, Reply>, mock::Handle<Request<()>, Reply>);

/// A mock panics when it is called without having been polled ready, as a clone would be.
#[tokio::test]
async fn the_service_that_was_polled_ready_is_called() {
    let (_quotas, layer) = prompt();
    let (mock, mut handle): MockPair = mock::pair();
    handle.allow(1);
    let mut service = layer.layer(mock);
    let response = service.ready().await.unwrap().call(get());
    let (_, answer): Exchange = handle.next_request().await.unwrap();
    answer.send_response(Response::new(Empty::new()));
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_called_after_a_decision_that_took_time() {
    let (_quotas, layer, gate) = slow();
    let (mock, mut handle): MockPair = mock::pair();
    handle.allow(1);
    let mut service = layer.layer(mock);
    let mut response = service.ready().await.unwrap().call(get());
    assert!((&mut response).now_or_never().is_none());
    assert!(handle.poll_request().is_pending(), "called before the decision");
    gate.open();
    assert!((&mut response).now_or_never().is_none());
    let (_, answer): Exchange = handle.next_request().await.unwrap();
    answer.send_response(Response::new(Empty::new()));
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}

/// What is left behind was not polled ready, and is not called before it is.
#[tokio::test]
async fn what_a_slow_decision_leaves_behind_is_polled_ready_anew() {
    let (_quotas, layer, gate) = slow();
    let (mock, mut handle): MockPair = mock::pair();
    handle.allow(2);
    let mut service = layer.layer(mock);
    let first = service.ready().await.unwrap().call(get());
    let second = service.ready().await.unwrap().call(get());
    gate.open();
    let serve = async {
        for _ in 0..2 {
            let (_, answer): Exchange = handle.next_request().await.unwrap();
            answer.send_response(Response::new(Empty::new()));
        }
    };
    let (first, second, ()) = tokio::join!(first, second, serve);
    first.unwrap();
    second.unwrap();
}

/// Knows which of its clones it is, and which of them were polled and called.
#[derive(Debug)]
struct Numbered {
    number: usize,
    clones: Arc<AtomicUsize>,
}

impl Numbered {
    fn new() -> Self {
        Self { number: 0, clones: Arc::default() }
    }
}

impl Clone for Numbered {
    fn clone(&self) -> Self {
        Self { number: self.clones.fetch_add(1, Ordering::SeqCst) + 1, clones: self.clones.clone() }
    }
}

impl Service<Request<()>> for Numbered {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        let number = Full::from(self.number.to_string());
        future::ready(Ok(Response::new(number)))
    }
}

#[tokio::test]
async fn a_decision_that_is_ready_clones_no_service() {
    let (_quotas, layer) = prompt();
    let mut service = layer.layer(Numbered::new());
    let response = service.ready().await.unwrap().call(get()).await.unwrap();
    assert_eq!(text(response).await, "0");
    assert_eq!(service.get_ref().clones.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_decision_that_takes_time_takes_the_ready_service_and_leaves_a_clone() {
    let (_quotas, layer, gate) = slow();
    let mut service = layer.layer(Numbered::new());
    let response = service.ready().await.unwrap().call(get());
    gate.open();
    assert_eq!(text(response.await.unwrap()).await, "0");
    assert_eq!(service.get_ref().number, 1);
    assert_eq!(service.get_ref().clones.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_decision_that_is_ready_calls_the_service_before_the_future_is_polled() {
    let (_quotas, layer) = prompt();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let inner = service_fn(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let mut service = layer.layer(inner);
    let response = service.ready().await.unwrap().call(get());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    drop(response);
}

#[tokio::test]
async fn the_layer_is_as_ready_as_the_service() {
    let (_quotas, layer) = prompt();
    let (mut service, mut handle) = mock::spawn_layer::<_, Response<Empty<Bytes>>, _>(layer);
    handle.allow(0);
    let readiness: Poll<Result<(), _>> = service.poll_ready::<Request<()>>();
    assert!(readiness.is_pending());
    handle.allow(1);
    let readiness: Poll<Result<(), _>> = service.poll_ready::<Request<()>>();
    assert!(readiness.is_ready());
}

/// An error of a service, neither boxed nor wrapped by the layer.
#[derive(Debug, PartialEq)]
struct Own(&'static str);

/// It fails: when it is polled ready, or when it is called.
#[derive(Clone)]
struct Failing {
    early: bool,
}

impl<B> Service<Request<B>> for Failing {
    type Response = Response<Empty<Bytes>>;
    type Error = Own;
    type Future = future::Ready<Result<Response<Empty<Bytes>>, Own>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Own>> {
        let ready = if self.early { Err(Own("ready")) } else { Ok(()) };
        Poll::Ready(ready)
    }

    fn call(&mut self, _request: Request<B>) -> Self::Future {
        future::ready(Err(Own("call")))
    }
}

#[tokio::test]
async fn the_service_s_error_when_it_is_polled_ready_is_passed_on() {
    let (quotas, layer) = prompt();
    let mut service = layer.layer(Failing { early: true });
    let ready = ServiceExt::<Request<()>>::ready(&mut service).await;
    assert_eq!(ready.err(), Some(Own("ready")));
    assert_eq!(books(&quotas), (0, 0));
}

#[tokio::test]
async fn the_service_s_error_is_passed_on_as_it_is() {
    let (_quotas, layer) = prompt();
    let failed: Result<Response<ResponseBody<Empty<Bytes>>>, Own> =
        layer.layer(Failing { early: false }).oneshot(get()).await;
    assert_eq!(failed.err(), Some(Own("call")));

    let (_quotas, layer, gate) = slow();
    gate.open();
    let failed = layer.layer(Failing { early: false }).oneshot(get()).await;
    assert_eq!(failed.err(), Some(Own("call")));
}

#[tokio::test]
async fn the_request_reaches_the_service_as_it_was() {
    let (_quotas, layer) = prompt();
    let inner = service_fn(|request: Request<&'static str>| {
        assert_eq!(request.method(), Method::PATCH);
        assert_eq!(request.uri(), "/a/b?c=d");
        assert_eq!(request.headers()[CONTENT_TYPE], "text/plain");
        assert_eq!(request.extensions().get::<u8>(), Some(&9));
        assert_eq!(*request.body(), "body");
        future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let request = Request::patch("/a/b?c=d").header(CONTENT_TYPE, "text/plain").extension(9_u8);
    let request = request.body("body").unwrap();
    layer.layer(inner).oneshot(request).await.unwrap();
}

//! The types that the layer is used with, and those that it has.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::FutureExt;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_quota::{Quota, QuotaLayer, ResponseBody, ResponseFuture};

use super::{Numbered, Own, prompt, slow};
use crate::support::{books, empty, get, metered};

/// A body with nothing but what `Body` asks for: no `Default`, no `From`, no `Clone`, not `Send`.
struct Bare(Rc<Cell<u8>>);

impl Body for Bare {
    type Data = Bytes;
    type Error = Own;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Own>>> {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        let frame = match left {
            0 => None,
            1 => {
                let mut trailers = http::HeaderMap::new();
                trailers.insert("x-sum", 3.into());
                Some(Frame::trailers(trailers))
            }
            left => Some(Frame::data(Bytes::from(vec![left]))),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::from(self.0.get()) - 1)
    }
}

/// The request's body, the response's and the service's future hold an `Rc`.
async fn exchange_what_is_not_send(layer: &QuotaLayer) -> Response<ResponseBody<Bare>> {
    let inner = service_fn(|request: Request<Rc<Cell<u8>>>| {
        let shared = request.into_body();
        async move {
            tokio::task::yield_now().await;
            Ok::<_, Own>(Response::new(Bare(shared)))
        }
    });
    let request = Request::new(Rc::new(Cell::new(3)));
    layer.layer(inner).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_body_of_any_kind_passes_frame_by_frame() {
    let (quotas, layer) = prompt();
    let response = exchange_what_is_not_send(&layer).await;
    let mut body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(2));
    assert!(!body.is_end_stream());
    let frame = async |body: &mut ResponseBody<Bare>| body.frame().await.unwrap().unwrap();
    assert_eq!(frame(&mut body).await.into_data().unwrap(), [3][..]);
    assert_eq!(frame(&mut body).await.into_data().unwrap(), [2][..]);
    let trailers = frame(&mut body).await.into_trailers().unwrap();
    assert_eq!(trailers["x-sum"], "3");
    assert!(body.frame().await.is_none());
    assert_eq!(books(&quotas), (1, 0));
}

/// A server that is told of the end announces a length, or ends the stream with its last frame.
#[tokio::test]
async fn a_body_that_says_that_it_has_ended_still_says_so() {
    let (_quotas, layer) = prompt();
    let whole = service_fn(async |_: Request<()>| Ok::<_, Own>(Response::new(Full::from("whole"))));
    let mut body = layer.layer(whole).oneshot(get()).await.unwrap().into_body();
    assert!(!body.is_end_stream());
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());

    let response = layer.layer(service_fn(empty)).oneshot(get()).await.unwrap();
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn a_request_that_is_not_send_can_wait_for_a_decision() {
    let (quotas, layer, gate) = slow();
    let mut response = pin!(exchange_what_is_not_send(&layer));
    assert!(response.as_mut().now_or_never().is_none());
    gate.open();
    drop(response.await);
    assert_eq!(books(&quotas), (1, 0));
}

/// Names the layer and its service, as somebody's own types would.
struct Names {
    layer: QuotaLayer,
    service: Quota<Numbered>,
    waiting: Vec<ResponseFuture<Numbered, ()>>,
}

#[tokio::test]
async fn the_layer_s_types_can_be_named() {
    let (_quotas, layer) = prompt();
    let mut names = Names { service: layer.layer(Numbered::new()), layer, waiting: Vec::new() };
    names.waiting.push(names.service.call(get()));
    let again: Quota<Numbered> = names.layer.layer(names.service.into_inner());
    assert_eq!(again.get_ref().number, 0);
    for response in names.waiting {
        let response: Response<ResponseBody<Full<Bytes>>> = response.await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

fn assert_sent<T: Send>(_: &T) {}
fn assert_shared<T: Send + Sync + 'static>(_: &T) {}

#[tokio::test]
async fn what_servers_send_between_threads_can_be() {
    let (_quotas, layer) = prompt();
    assert_shared(&layer);
    let mut service = layer.layer(Numbered::new());
    assert_shared(&service);
    let response = service.call(get());
    assert_sent(&response);
    assert_shared(&response.await.unwrap());
    let _spawned: tokio::task::JoinHandle<_> = tokio::spawn(service.call(get()));
}

/// A layer over a layer over a service: it meets its own bounds.
#[tokio::test]
async fn layers_stack() {
    let (quotas, layer) = prompt();
    let other = metered(&quotas).build().unwrap();
    let stacked = ServiceBuilder::new().layer(layer).layer(other).service_fn(empty);
    drop(stacked.oneshot(get()).await.unwrap());
    assert_eq!(books(&quotas), (2, 0));
}

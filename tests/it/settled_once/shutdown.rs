//! A server that stops.

use std::convert::Infallible;
use std::future::{self, IntoFuture};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get as on_get;
use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use futures::stream::{self, StreamExt};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::{ServiceExt, service_fn};

use super::{Scene, chunks, data};
use crate::support::{books, get, now};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn a_runtime_that_ends_before_the_headers_releases() {
    let scene = Scene::new();
    let runtime = runtime();
    let stuck = service_fn(|_| future::pending::<Result<Response<Empty<Bytes>>, Infallible>>());
    let request = scene.around(stuck).oneshot(get());
    runtime.block_on(async {
        tokio::spawn(request);
        tokio::task::yield_now().await;
    });
    scene.assert_held();
    drop(runtime);
    scene.assert_settled(0);
}

#[test]
fn a_runtime_that_ends_within_a_body_settles_it() {
    let scene = Scene::new();
    let runtime = runtime();
    let endless = service_fn(|_| {
        let frames = stream::iter([Ok::<_, Infallible>(data("one"))]).chain(stream::pending());
        future::ready(Ok::<_, Infallible>(Response::new(StreamBody::new(frames))))
    });
    let request = scene.around(endless).oneshot(get());
    let (read, first) = oneshot::channel();
    runtime.block_on(async {
        tokio::spawn(async move {
            let mut body = request.await.unwrap().into_body();
            body.frame().await.unwrap().unwrap();
            read.send(()).unwrap();
            body.frame().await
        });
        first.await.unwrap();
    });
    scene.assert_held();
    drop(runtime);
    scene.assert_settled(1);
}

/// A server that is told to stop ends what is in flight before it does.
#[tokio::test]
async fn a_server_that_shuts_down_gracefully_commits_what_is_in_flight() {
    let scene = Scene::new();
    let (mut frames, receiver) = mpsc::channel(1);
    let body = Arc::new(Mutex::new(Some(receiver)));
    let handler = async move || {
        let frames = body.lock().unwrap().take().unwrap();
        axum::body::Body::new(StreamBody::new(frames))
    };
    let app = Router::new().route("/", on_get(handler));
    let app = app.layer(scene.layer.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(listener, app);
    let serving = serving.with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(serving.into_future());

    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    let mut response = client.send_request(request).await.unwrap();
    frames.send(Ok::<_, Infallible>(data("one"))).await.unwrap();
    response.frame().await.unwrap().unwrap();
    stop.send(()).unwrap();
    scene.assert_held();
    drop(frames);
    assert!(response.frame().await.is_none());
    server.await.unwrap().unwrap();
    assert_eq!(books(&scene.quotas), (1, 0));
}

/// The guard keeps the books: what is in flight is settled in them, however late.
#[tokio::test]
async fn an_engine_that_was_shut_down_still_settles_what_is_in_flight() {
    let scene = Scene::new();
    let response = scene.get(|| Response::new(chunks(["one"]))).await;
    now(scene.quotas.shutdown()).unwrap();
    scene.assert_held();
    response.into_body().collect().await.unwrap();
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_body_outlives_its_layer() {
    let Scene { quotas, layer, last } = Scene::new();
    let scene = Scene { quotas: quotas.clone(), layer, last };
    let response = scene.get(|| Response::new(chunks(["one"]))).await;
    drop(scene);
    assert_eq!(books(&quotas), (0, 1));
    drop(response);
    assert_eq!(books(&quotas), (1, 0));
}

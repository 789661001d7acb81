//! gRPC says in its status, not in HTTP's, whether a request failed.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

use super::{Scene, chunks, data};
use crate::support::{books, daily, empty, metered, noon};

fn grpc<B>(body: B) -> Response<B> {
    let builder = Response::builder().header(CONTENT_TYPE, "application/grpc+proto");
    builder.body(body).unwrap()
}

/// A message, then trailers with this status.
fn trailed(status: &'static str) -> Response<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames = [Ok(data("message")), Ok(Frame::trailers(trailers))];
    grpc(StreamBody::new(tokio_stream::iter(frames)))
}

/// This status in the headers, and no message.
fn trailers_only(status: &'static str) -> Response<Empty<Bytes>> {
    let mut response = grpc(Empty::new());
    let status = HeaderValue::from_static(status);
    response.headers_mut().insert("grpc-status", status);
    response
}

#[tokio::test]
async fn status_0_in_the_trailers_commits() {
    let scene = Scene::new();
    let response = scene.get(|| trailed("0")).await;
    scene.assert_held();
    response.into_body().collect().await.unwrap();
    scene.assert_settled(1);
}

#[tokio::test]
async fn another_status_in_the_trailers_releases() {
    for status in ["1", "8", "13", "16", "4294967295"] {
        let scene = Scene::new();
        let response = scene.get(move || trailed(status)).await;
        scene.assert_held();
        response.into_body().collect().await.unwrap();
        scene.assert_settled(0);
    }
}

#[tokio::test]
async fn a_status_that_is_no_number_releases() {
    let scene = Scene::new();
    let response = scene.get(|| trailed("fine")).await;
    response.into_body().collect().await.unwrap();
    scene.assert_settled(0);
}

#[tokio::test]
async fn status_0_in_the_headers_commits_there() {
    let scene = Scene::new();
    scene.get(|| trailers_only("0")).await;
    scene.assert_settled(1);
}

#[tokio::test]
async fn another_status_in_the_headers_releases_there() {
    let scene = Scene::new();
    scene.get(|| trailers_only("14")).await;
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_stream_that_is_dropped_before_its_trailers_commits() {
    let scene = Scene::new();
    let response = scene.get(|| trailed("13")).await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    scene.assert_settled(1);
}

/// The 200 of a denial is as little a success as any other.
#[tokio::test]
async fn a_call_that_a_layer_further_in_denies_is_released() {
    let scene = Scene::new();
    let denying = metered(&daily(&noon(), 0)).build().unwrap();
    let service = scene.around(denying.layer(service_fn(empty)));
    let call = Request::post("/").header(CONTENT_TYPE, "application/grpc");
    let response = service.oneshot(call.body(()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(books(&scene.quotas), (0, 0));
}

#[tokio::test]
async fn without_the_content_type_of_grpc_the_header_means_nothing() {
    let scene = Scene::new();
    let other = || {
        let builder = Response::builder().header("grpc-status", 14);
        builder.body(chunks(["text"])).unwrap()
    };
    let response = scene.get(other).await;
    scene.assert_held();
    response.into_body().collect().await.unwrap();
    scene.assert_settled(1);
}

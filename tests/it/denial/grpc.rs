//! A denied gRPC call: trailers only, or clients would read an internal error or retry at once.

use http::{Request, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::QuotaLayer;

use super::{Answer, unreachable, used_up};
use crate::support::{books, daily, metered, noon};

async fn call(layer: QuotaLayer, content_type: &str) -> Answer {
    let request = Request::post("/pkg.Service/Method").header("content-type", content_type);
    let service = layer.layer(service_fn(unreachable));
    service.oneshot(request.body(()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn it_is_a_status_in_headers_that_end_the_stream() {
    let quotas = used_up();
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let layer = metered(&quotas).build().unwrap();
        let response = call(layer, content_type).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-status"], "8");
        assert_eq!(headers["grpc-message"], "The quota for remix has no room for this request");
        assert_eq!(headers["grpc-retry-pushback-ms"], "43200000");
        assert_eq!(headers["ratelimit"], "\"day\";r=0;t=43200");
        assert!(response.body().is_end_stream());
        assert_eq!(response.body().size_hint().exact(), Some(0));
        let body = response.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none());
        assert_eq!(body.to_bytes(), "");
    }
    assert_eq!(books(&quotas), (1, 0));
}

#[tokio::test]
async fn where_waiting_does_not_help_clients_must_not_retry() {
    let layer = metered(&daily(&noon(), 0)).build().unwrap();
    let response = call(layer, "application/grpc").await;
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "-1");
    assert!(!response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn words_of_one_s_own_are_not_for_grpc() {
    let layer = metered(&used_up()).denial(|_| http::Response::new("no"));
    let response = call(layer.build().unwrap(), "application/grpc").await;
    assert_eq!(response.headers()["grpc-status"], "8");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn other_content_types_get_a_problem_document() {
    for content_type in ["application/json", "text/plain; x=application/grpc"] {
        let layer = metered(&used_up()).build().unwrap();
        let response = call(layer, content_type).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(!response.headers().contains_key("grpc-status"));
    }
}

//! The forms in which the layer says no: a problem document, or a gRPC status.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A problem document (RFC 9457).
#[derive(Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) title: &'static str,
    pub(super) status: u16,
    pub(super) detail: String,
}

pub(super) fn problem_response(status: StatusCode, problem: &impl Serialize) -> Response<Bytes> {
    json_response(status, "application/problem+json", problem)
}

/// A response that no cache may store: it speaks of one client, at one moment.
pub(super) fn json_response(
    status: StatusCode,
    content_type: &'static str,
    body: &impl Serialize,
) -> Response<Bytes> {
    // Text and numbers can always be written.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// The gRPC status codes that the layer uses.
#[derive(Clone, Copy)]
pub(super) enum GrpcCode {
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// Whether headers are those of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A gRPC status in a response of headers alone ("trailers-only"), which gRPC wants with status
/// 200. `message` is ASCII without `%`, so it needs no encoding.
pub(super) fn grpc_response(code: GrpcCode, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(code as u16));
    if let Ok(message) = HeaderValue::from_str(message) {
        headers.insert("grpc-message", message);
    }
    response
}

/// An instant in RFC 3339, in whole seconds where it is one.
pub(super) fn rfc_3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

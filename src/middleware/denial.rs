//! The answer to a denied request.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::problem::{GrpcCode, NO_STORE, Problem, grpc_response, problem_response, rfc_3339};
use crate::decision::Denial;
use crate::standing::Status;

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Builds the response to a denied request.
pub(super) type AnswerDenial = dyn Fn(&Denial) -> Response<Bytes> + Send + Sync;

/// The default response to a denied request, for a handler that was
/// [forwarded](crate::Rule::forward_denials) the denial.
///
/// `429` (RFC 6585) with a problem document (RFC 9457) of the type `quota-exceeded`
/// (draft-ietf-httpapi-ratelimit-headers-11), `Cache-Control: no-store`, and `Retry-After` in whole
/// seconds if waiting helps. The layer adds the rate limit headers when the response passes it.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_quota::{Denial, denial_response};
///
/// fn discover(request: Request<()>, cached: Option<Bytes>) -> Response<Bytes> {
///     match (request.extensions().get::<Denial>(), cached) {
///         (Some(_), Some(cached)) => Response::new(cached),
///         (Some(denial), None) => denial_response(denial),
///         (None, _) => Response::new(Bytes::from("fresh")),
///     }
/// }
/// ```
#[must_use]
pub fn denial_response(denial: &Denial) -> Response<Bytes> {
    let status = denial.status();
    let violated: Vec<Status> = denial.violated().collect();
    let body = QuotaExceeded {
        problem: Problem {
            kind: QUOTA_EXCEEDED,
            title: "Quota exceeded",
            status: StatusCode::TOO_MANY_REQUESTS.as_u16(),
            detail: detail(denial),
        },
        violated_policies: violated.iter().map(Status::limit).collect(),
        feature: denial.feature(),
        limit: status.as_ref().map_or(0, Status::amount),
        used: status.as_ref().map_or(0, Status::used),
        held: status.as_ref().map_or(0, Status::held),
        remaining: status.as_ref().map_or(0, Status::remaining),
        resets_at: denial.resets_at().map(rfc_3339),
    };
    let mut response = problem_response(StatusCode::TOO_MANY_REQUESTS, &body);
    complete_denial(denial, response.headers_mut());
    response
}

/// The response to a denied request: of gRPC, else the layer's own, else the default.
pub(super) fn answer_denial(
    denial: &Denial,
    own: Option<&AnswerDenial>,
    is_grpc: bool,
) -> Response<Bytes> {
    let mut response = match own {
        _ if is_grpc => grpc_denial(denial),
        Some(answer) => answer(denial),
        None => denial_response(denial),
    };
    complete_denial(denial, response.headers_mut());
    response
}

/// The response to a denied gRPC request: trailers only, `RESOURCE_EXHAUSTED`. How long to hold
/// retries back is said as gRFC A6 has it: a negative number means for ever.
fn grpc_denial(denial: &Denial) -> Response<Bytes> {
    let mut response = grpc_response(GrpcCode::ResourceExhausted, &detail(denial));
    let pushback = match denial.retry_after() {
        Some(seconds) => HeaderValue::from(seconds.saturating_mul(1_000)),
        None => HeaderValue::from_static("-1"),
    };
    response.headers_mut().insert("grpc-retry-pushback-ms", pushback);
    response
}

fn detail(denial: &Denial) -> String {
    format!("The quota for {} has no room for this request", denial.feature())
}

/// Sets what every denial has, where it is missing: `Retry-After` and `Cache-Control`.
fn complete_denial(denial: &Denial, headers: &mut HeaderMap) {
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
    if let Some(seconds) = denial.retry_after() {
        headers.entry(RETRY_AFTER).or_insert_with(|| seconds.into());
    }
}

/// The problem document of a denial.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct QuotaExceeded<'a> {
    #[serde(flatten)]
    problem: Problem,
    violated_policies: Vec<&'a str>,
    feature: &'a str,
    limit: u64,
    used: u64,
    held: u64,
    remaining: u64,
    #[serde(rename = "resets_at")]
    resets_at: Option<String>,
}

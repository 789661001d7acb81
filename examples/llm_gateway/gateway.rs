//! The gateway: estimate, reserve, ask the backend, charge.

use std::net::SocketAddr;

use axum::Extension;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tower_quota::{Check, Measure, QuotaHandle, Standing, denial_response};

use crate::COMPLETIONS;
use crate::stream::Metered;
use crate::tokens;

/// The longest answer that is not streamed, in bytes.
const LONGEST_ANSWER: usize = 8 << 20;

/// An error, as OpenAI words it.
type Problem = (StatusCode, Json<Value>);

/// `POST /v1/chat/completions`.
pub(crate) async fn complete(
    State(backend): State<Backend>,
    Extension(quota): Extension<QuotaHandle>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut question: Value = serde_json::from_slice(&body)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string()))?;
    let (asked, answered) = tokens::estimate(&question);
    let check = quota.reserve_about(asked.saturating_add(answered)).await;
    let standing = match check
        .map_err(|error| problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()))?
    {
        Check::Denied(denial) => return Ok(denial_response(&denial).map(Body::from)),
        Check::Allowed(standing) => standing,
    };
    tokens::ask_for_usage(&mut question);
    // If it fails, the layer gives back what is set aside: that is its policy for such a status.
    let answer = backend.ask(query.as_deref(), &question).await?;
    if tokens::is_stream(answer.headers()) {
        let (head, body) = answer.into_parts();
        let left = answered.min(capacity(&standing).saturating_sub(asked));
        let stream = Metered::new(body, quota, left).play();
        Ok(like(head.status, head.headers.get(CONTENT_TYPE), Body::from_stream(stream)))
    } else {
        pass_on_at_once(answer, &quota).await
    }
}

/// The most tokens that could be set aside at a time: an estimate of more is cut down to them.
fn capacity(standing: &Standing) -> u64 {
    let tokens = standing.statuses().filter(|status| status.measure() == Measure::Units);
    tokens.map(|status| status.amount()).min().unwrap_or(u64::MAX)
}

async fn pass_on_at_once(
    answer: Response<Incoming>,
    quota: &QuotaHandle,
) -> Result<Response, Problem> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER).collect().await.map_err(|error| bad(&*error))?;
    let body = body.to_bytes();
    if let Some(tokens) = tokens::total(&body) {
        let _ = quota.charge(tokens);
    }
    Ok(like(head.status, head.headers.get(CONTENT_TYPE), Body::from(body)))
}

/// Other headers of the backend are between it and the gateway.
fn like(status: StatusCode, content_type: Option<&HeaderValue>, body: Body) -> Response {
    let mut response = (status, body).into_response();
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    response
}

/// Where questions go.
#[derive(Clone)]
pub(crate) struct Backend {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Backend {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    /// Asks, with none of the client's own headers: its key is for the gateway alone.
    async fn ask(
        &self,
        query: Option<&str>,
        question: &Value,
    ) -> Result<Response<Incoming>, Problem> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{COMPLETIONS}{query}", self.address))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(question.to_string()))
            .map_err(|error| bad(&error))?;
        self.client.request(request).await.map_err(|error| bad(&error))
    }
}

fn bad(error: &dyn std::error::Error) -> Problem {
    problem(StatusCode::BAD_GATEWAY, &format!("the backend has failed: {error}"))
}

pub(crate) fn problem(status: StatusCode, message: &str) -> Problem {
    (status, Json(json!({ "error": { "message": message } })))
}

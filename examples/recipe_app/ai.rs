//! The routes of the AI, which is pretended: what it does stands in the query string.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;
use tokio::time::sleep;
use tower_quota::{Denial, QuotaHandle, denial_response};

use crate::app::App;
use crate::members::Member;
use crate::problem::Problem;

/// `POST /api/ai/...`: the layer has set a unit aside, and settles it by how the request ends.
///
/// The request is read to its end although the AI does not care: behind unread input no server sees
/// that its client went away.
pub(crate) async fn answer(
    Extension(quota): Extension<QuotaHandle>,
    script: Script,
    _request: Bytes,
) -> Result<Response, Problem> {
    let suggestion = script.think(&quota, "What the AI has to say").await?;
    Ok(script.send(&suggestion))
}

/// `GET /api/ai/discover/{id}/`: the layer forwards its denials, and whose quota is used up gets
/// their last result again.
pub(crate) async fn discover(
    State(app): State<App>,
    member: Member,
    denial: Option<Extension<Denial>>,
    Extension(quota): Extension<QuotaHandle>,
    Path(id): Path<String>,
    script: Script,
) -> Result<Response, Problem> {
    if let Some(Extension(denial)) = denial {
        return Ok(match app.last_discoveries.get(&member) {
            Some(last) => Json(Suggestion { cached: true, ..last }).into_response(),
            None => denial_response(&denial).map(Body::from),
        });
    }
    let suggestion = script.think(&quota, &format!("Recipes like {id}")).await?;
    if !script.cut.is_set() {
        app.last_discoveries.insert(member, suggestion.clone());
    }
    Ok(script.send(&suggestion))
}

/// What the AI comes up with.
#[derive(Clone, Serialize)]
pub(crate) struct Suggestion {
    feature: String,
    text: String,
    /// Whether it is an old one, which costs nothing.
    cached: bool,
}

/// What the AI is to do, from the query string.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Script {
    /// Think for so long, before the headers.
    delay_ms: Within<0, 60_000>,
    panic: Flag,
    /// Have a result at hand: the handler gives the unit back.
    cached: Flag,
    /// Answer with this status.
    status: Within<200, 599>,
    /// Stream so many chunks; 0 for an answer in one piece.
    chunks: Within<0, 1_000>,
    /// Pause for so long before each chunk but the first.
    gap_ms: Within<0, 60_000>,
    /// Fail in the middle of the stream.
    cut: Flag,
}

impl Script {
    /// What happens before the headers.
    async fn think(&self, quota: &QuotaHandle, text: &str) -> Result<Suggestion, Problem> {
        sleep(self.delay_ms.as_millis()).await;
        assert!(!self.panic.is_set(), "the AI panics, as it was asked to");
        let status = self.status();
        if self.cached.is_set() {
            quota.release()?;
        } else if status.is_client_error() || status.is_server_error() {
            return Err(Problem::new(status, "the AI fails, as it was asked to"));
        }
        let standing = quota.standing();
        Ok(Suggestion {
            feature: standing.map_or_else(String::new, |standing| standing.feature().to_owned()),
            text: text.to_owned(),
            cached: self.cached.is_set(),
        })
    }

    /// What happens from the headers on.
    fn send(&self, suggestion: &Suggestion) -> Response {
        let status = self.status();
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            status.into_response()
        } else if self.chunks.0 > 0 || self.cut.is_set() {
            (status, Body::from_stream(self.stream())).into_response()
        } else {
            (status, Json(suggestion)).into_response()
        }
    }

    fn stream(&self) -> impl Stream<Item = Result<String, &'static str>> + use<> {
        let chunks = if self.chunks.0 > 0 { self.chunks.0 } else { 2 };
        let cut_after = if self.cut.is_set() { chunks / 2 } else { chunks };
        let gap = self.gap_ms.as_millis();
        stream::iter(1..=chunks).then(move |chunk| async move {
            // The server sends what it has only while it waits for more.
            yield_now().await;
            if chunk > 1 {
                sleep(gap).await;
            }
            if chunk > cut_after {
                return Err("the AI goes silent, as it was asked to");
            }
            Ok(format!("chunk {chunk} of {chunks}\n"))
        })
    }

    /// The status of the answer. What comes from a cache is always good.
    fn status(&self) -> StatusCode {
        if self.cached.is_set() {
            return StatusCode::OK;
        }
        StatusCode::from_u16(self.status.0).unwrap_or_default()
    }
}

impl<S: Sync> FromRequestParts<S> for Script {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(script)) => Ok(script),
            Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, error.body_text())),
        }
    }
}

/// A number from `MIN` to `MAX`; `MIN` if the query string does not say.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u16")]
struct Within<const MIN: u16, const MAX: u16>(u16);

/// Not set, or `1`.
type Flag = Within<0, 1>;

impl Flag {
    fn is_set(self) -> bool {
        self.0 == 1
    }
}

impl<const MIN: u16, const MAX: u16> Within<MIN, MAX> {
    fn as_millis(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
}

impl<const MIN: u16, const MAX: u16> Default for Within<MIN, MAX> {
    fn default() -> Self {
        Self(MIN)
    }
}

impl<const MIN: u16, const MAX: u16> TryFrom<u16> for Within<MIN, MAX> {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        if (MIN..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("{number} is not from {MIN} to {MAX}"))
        }
    }
}

//! The operators' routes.

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tower_quota::MAX_UNITS;

use crate::app::{App, PLAN, daily};
use crate::members::Member;
use crate::problem::Problem;

#[derive(Deserialize)]
struct SetUnlimited {
    unlimited: bool,
}

/// `PUT /api/ai/quotas` with `{"tips":5}`: changes these limits for everybody, all or none. What
/// was used stays used.
pub(crate) async fn set_limits(
    _: Operator,
    State(app): State<App>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let mut limits = Vec::new();
    for (feature, units) in parse::<Map<String, Value>>(&body)? {
        let Some(units) = units.as_u64() else {
            let detail = format!("`{feature}` is not a whole number from 0 to {MAX_UNITS}");
            return Err(Problem::unprocessable(detail));
        };
        limits.push((feature, [daily(units)]));
    }
    match app.quotas.set_limits(PLAN, limits) {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Problem::unprocessable(error.to_string())),
    }
}

/// `POST /api/profiles/{id}/set-unlimited/` with `{"unlimited":true}`: this profile is never
/// denied, and nothing is counted for it, until it is told otherwise.
pub(crate) async fn set_unlimited(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let Some(member) = Member::parse(&id) else {
        let detail = format!("{id:?} is not the number of a profile");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let SetUnlimited { unlimited } = parse(&body)?;
    app.members.set_unlimited(member, unlimited);
    Ok(StatusCode::NO_CONTENT)
}

/// Reads JSON: 400 if it is none, 422 if it says something else than it should.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = error.to_string();
        if error.is_data() {
            Problem::unprocessable(detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, detail)
        }
    })
}

/// Proof that an operator asks.
pub(crate) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Some(token) = &app.operator_token else {
            let detail = "this server has no operators: OPERATOR_TOKEN is not set";
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let given = bearer_token(&parts.headers);
        if given.is_some_and(|given| is_same(given, token.as_bytes())) {
            return Ok(Self);
        }
        let detail = "operators need `authorization: Bearer ` and the token";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
        Err(problem.challenge("Bearer realm=\"operators\""))
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Takes the same time wherever the first difference is, so that nobody can guess byte by byte.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    let differences = given.iter().zip(token).map(|(a, b)| a ^ b);
    given.len() == token.len() && differences.fold(0, |all, one| all | one) == 0
}

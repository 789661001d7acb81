//! `GET /api/ai/quotas`: what a member may use and has used.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use chrono::SecondsFormat;
use serde_json::json;
use tower_quota::{Standing, Status};

use crate::app::App;
use crate::members::Member;
use crate::problem::Problem;

pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let usage = app.quotas.usage(&app.members.profile(member, &headers)).await?;
    let by_feature = |number: fn(&Status) -> u64| {
        let mut numbers = BTreeMap::new();
        for standing in usage.standings() {
            // Each feature has one limit.
            for status in standing.statuses() {
                numbers.insert(standing.feature(), number(&status));
            }
        }
        json!(numbers)
    };
    let resets_at = usage.standings().find_map(Standing::resets_at);
    let quotas = json!({
        "limits": by_feature(Status::amount),
        "usage": by_feature(Status::used),
        "held": by_feature(Status::held),
        "unlimited": usage.is_unlimited(),
        "resets_at": resets_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(quotas)))
}

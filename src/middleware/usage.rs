//! A ready-made service that tells a profile what it has used.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt};
use http::{Request, Response, StatusCode};
use serde::Serialize;
use tower_service::Service;

use super::body::ResponseBody;
use super::head::RequestHead;
use super::problem::{json_response, rfc_3339};
use super::refusal::Refusal;
use super::rules::Rules;
use crate::standing::{Standing, Status, Usage};

/// Answers every request with what its profile has used, as JSON:
///
/// ```json
/// {
///   "unlimited": false,
///   "features": {
///     "remix": {
///       "day": { "limit": 1, "used": 1, "held": 0, "remaining": 0,
///                "resets_at": "2026-11-25T00:00:00Z" }
///     }
///   }
/// }
/// ```
///
/// It finds out who asks as the layer does, and is not metered itself. `resets_at` is null for a
/// lifetime limit. A feature with a limit for tenants is left out for a profile that has no tenant. [`QuotaLayer::usage`](crate::QuotaLayer::usage) makes one; under axum it goes
/// into `get_service`.
#[derive(Clone)]
pub struct UsageService(Arc<Rules>);

#[derive(Serialize)]
struct UsageBody<'a> {
    unlimited: bool,
    features: BTreeMap<&'a str, BTreeMap<String, LimitBody>>,
}

#[derive(Serialize)]
struct LimitBody {
    limit: u64,
    used: u64,
    held: u64,
    remaining: u64,
    resets_at: Option<String>,
}

impl UsageService {
    pub(super) fn new(rules: Arc<Rules>) -> Self {
        Self(rules)
    }
}

impl<B> Service<Request<B>> for UsageService {
    type Response = Response<ResponseBody<String>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let quotas = self.0.quotas.clone();
        let now = quotas.engine().now();
        let paying = self.0.paying(&RequestHead::of(&request), now);
        let answer = async move {
            let usage = match paying.await {
                Ok(Some(profile)) => quotas.usage_at(&profile, now).await.map_err(Refusal::from),
                Ok(None) => Err(Refusal::Unidentified(None)),
                Err(refusal) => Err(refusal),
            };
            let response = match usage {
                Ok(usage) => {
                    json_response(StatusCode::OK, "application/json", &UsageBody::of(&usage))
                }
                Err(refusal) => refusal.answer(false),
            };
            Ok(response.map(ResponseBody::own))
        };
        answer.boxed()
    }
}

impl<'a> UsageBody<'a> {
    fn of(usage: &'a Usage) -> Self {
        let limits = |standing: &Standing| {
            let each = standing.statuses().filter(|status| !status.is_shadow());
            each.map(|status| (status.limit().to_owned(), LimitBody::of(&status))).collect()
        };
        Self {
            unlimited: usage.is_unlimited(),
            features: usage
                .standings()
                .map(|standing| (standing.feature(), limits(standing)))
                .collect(),
        }
    }
}

impl LimitBody {
    fn of(status: &Status) -> Self {
        Self {
            limit: status.amount(),
            used: status.used(),
            held: status.held(),
            remaining: status.remaining(),
            resets_at: status.resets_at().map(rfc_3339),
        }
    }
}

impl fmt::Debug for UsageService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageService").finish_non_exhaustive()
    }
}

//! The app: its quotas, its layer and its routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method};
use axum::routing::{get, post};
use moka::sync::Cache;
use tower_quota::store::Store;
use tower_quota::{ConfigError, Limit, Plan, QuotaLayer, Quotas, Rule, Unidentified, Window};

use crate::ai::{self, Suggestion};
use crate::members::{Member, Members};
use crate::settings::Settings;
use crate::{operators, usage};

/// Everybody is on this plan.
pub(crate) const PLAN: &str = "household";

const RESULTS_KEPT: u64 = 10_000;
const RESULTS_KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) quotas: Quotas,
    pub(crate) members: Members,
    /// What each member discovered last: for when their quota is used up.
    pub(crate) last_discoveries: Cache<Member, Suggestion>,
    pub(crate) operator_token: Option<String>,
}

impl App {
    pub(crate) fn new(settings: Settings, store: Arc<dyn Store>) -> Result<Self, ConfigError> {
        let limits = settings.limits.into_iter();
        let plan = limits
            .fold(Plan::new(PLAN), |plan, (feature, units)| plan.feature(feature, [daily(units)]));
        let last_discoveries =
            Cache::builder().max_capacity(RESULTS_KEPT).time_to_live(RESULTS_KEPT_FOR);
        Ok(Self {
            quotas: Quotas::builder().plan(plan).store(store).mode(settings.mode).build()?,
            members: Members::default(),
            last_discoveries: last_discoveries.build(),
            operator_token: settings.operator_token,
        })
    }

    /// Which request uses which feature, and who pays.
    fn layer(&self) -> Result<QuotaLayer, ConfigError> {
        let members = self.members.clone();
        let challenge = HeaderValue::from_static(Member::CHALLENGE);
        QuotaLayer::builder(self.quotas.clone())
            .route(Method::POST, "/api/ai/remix", "remix")
            .route(Method::POST, "/api/ai/remix-suggestions", "remix_suggestions")
            .route(Method::POST, "/api/ai/scale", "scale")
            .route(Method::POST, "/api/ai/tips", "tips")
            .route(Method::POST, "/api/ai/timer-name", "timer")
            .route(Method::GET, "/api/ai/discover/{id}/", Rule::new("discover").forward_denials())
            .profile(move |head| Some(members.profile(Member::of(head.headers)?, head.headers)))
            .unidentified(Unidentified::Challenge(challenge))
            .build()
    }

    /// The layer goes around all routes, where paths are whole.
    pub(crate) fn router(self) -> Result<Router, ConfigError> {
        let layer = self.layer()?;
        let router = Router::new()
            .route("/api/ai/remix", post(ai::answer))
            .route("/api/ai/remix-suggestions", post(ai::answer))
            .route("/api/ai/scale", post(ai::answer))
            .route("/api/ai/tips", post(ai::answer))
            .route("/api/ai/timer-name", post(ai::answer))
            .route("/api/ai/discover/{id}/", get(ai::discover))
            .route("/api/ai/quotas", get(usage::show).put(operators::set_limits))
            .route("/api/profiles/{id}/set-unlimited/", post(operators::set_unlimited));
        Ok(router.layer(layer).with_state(self))
    }
}

/// So many units a day; 0 disables the feature.
pub(crate) fn daily(units: u64) -> Limit {
    Limit::new(units, Window::Day).profile_calendar()
}

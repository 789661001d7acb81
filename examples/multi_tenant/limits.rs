//! How much users, companies and all together may ask.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use chrono::SecondsFormat;
use serde_json::json;
use tower_quota::{Denial, Limit, MAX_UNITS, Plan, Scope, Window};

pub(crate) const FEATURE: &str = "ask";
pub(crate) const TEAM: &str = "team";
pub(crate) const BUSINESS: &str = "business";

/// How many times as much as a team a business may ask.
const TIMES: u64 = 5;

/// Amounts a day, of the plan `team`.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    user: u64,
    company: u64,
    app: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { user: 20, company: 500, app: 10_000 }
    }
}

impl Limits {
    /// The defaults with these overrides: `user=2,app=5`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for pair in text.split(',') {
            let (name, amount) = pair.split_once('=').unwrap_or((pair, ""));
            let limit = match name {
                "user" => &mut limits.user,
                "company" => &mut limits.company,
                "app" => &mut limits.app,
                _ => return Err(format!("LIMITS: {name:?} is none of user, company and app")),
            };
            let amount = amount.parse().ok().filter(|amount| *amount <= MAX_UNITS / TIMES);
            *limit = amount.ok_or_else(|| format!("LIMITS: {pair:?} has no amount"))?;
        }
        Ok(limits)
    }

    pub(crate) fn team(self) -> Plan {
        self.plan(TEAM)
    }

    /// What is everyone's has the same amount in each plan: it is the same count.
    pub(crate) fn business(self) -> Plan {
        let (user, company) = (self.user * TIMES, self.company * TIMES);
        Self { user, company, ..self }.plan(BUSINESS)
    }

    fn plan(self, name: &str) -> Plan {
        let a_day = |name, amount, scope| Limit::new(amount, Window::Day).named(name).scope(scope);
        let limits = [
            a_day("user", self.user, Scope::Profile),
            a_day("company", self.company, Scope::Tenant),
            a_day("app", self.app, Scope::Everyone),
        ];
        Plan::new(name).feature(FEATURE, limits)
    }
}

/// Says who has asked too much. The layer adds the headers.
pub(crate) fn say_which(denial: &Denial) -> Response<String> {
    let limits: Vec<_> = denial
        .violated()
        .map(|status| {
            let whose = match status.scope() {
                Scope::Profile => "You have",
                Scope::Tenant => "Your company has",
                Scope::Everyone => "All users together have",
            };
            let resets_at = status.resets_at();
            json!({
                "limit": status.limit(),
                "amount": status.amount(),
                "used": status.used(),
                "resets_at": resets_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
                "detail": format!("{whose} asked all {} questions of today", status.amount()),
            })
        })
        .collect();
    let mut response = Response::new(json!({ "tripped": limits }).to_string());
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

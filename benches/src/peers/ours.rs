//! tower-quota: the recipe app's six features, one limit a day each.

use http::Method;
use tower::Layer;
use tower_quota::store::{Answer, Store};
use tower_quota::{
    Clock, Decision, HeaderIdentity, Headers, Limit, MemoryStore, Plan, Profile, Quota, QuotaLayer,
    Quotas, SystemClock, Window,
};

use crate::exchange::{Handler, PROFILE_ID};

/// Each feature, and the route that spends it.
const ROUTES: [(Method, &str, &str); 6] = [
    (Method::POST, "/api/ai/remix", "remix"),
    (Method::POST, "/api/ai/remix-suggestions", "remix_suggestions"),
    (Method::POST, "/api/ai/scale", "scale"),
    (Method::POST, "/api/ai/tips", "tips"),
    (Method::POST, "/api/ai/timer-name", "timer"),
    (Method::GET, "/api/ai/discover/{id}/", "discover"),
];

/// An engine with its books in memory.
pub(crate) fn quotas(units_a_day: u32, clock: impl Clock) -> Quotas {
    quotas_over(MemoryStore::new(), units_a_day, clock)
}

/// An engine with its books in this store.
pub(crate) fn quotas_over(store: impl Store, units_a_day: u32, clock: impl Clock) -> Quotas {
    let limit = Limit::new(units_a_day.into(), Window::Day);
    let plan = ROUTES
        .iter()
        .fold(Plan::new("free"), |plan, (.., name)| plan.feature(name, [limit.clone()]));
    let quotas = Quotas::builder().plan(plan).store(store).clock(clock).build();
    quotas.expect("a complete configuration")
}

/// The layer over `inner`, with every route metered.
pub(crate) fn service(inner: Handler, units_a_day: u32, headers: Headers) -> Quota<Handler> {
    service_of(quotas(units_a_day, SystemClock), inner, headers)
}

/// The same, of this engine, which knows the recipe app's features.
pub(crate) fn service_of(quotas: Quotas, inner: Handler, headers: Headers) -> Quota<Handler> {
    let builder = QuotaLayer::builder(quotas)
        .identify(HeaderIdentity::new(PROFILE_ID.clone()))
        .plan("free")
        .headers(headers);
    let layer = ROUTES.into_iter().fold(builder, |builder, (method, pattern, feature)| {
        builder.route(method, pattern, feature)
    });
    layer.build().expect("a complete configuration").layer(inner)
}

/// The profile with this number.
pub(crate) fn profile(number: u64) -> Profile {
    Profile::new(number.to_string(), "free")
}

/// Sets one unit aside and charges it.
pub(crate) fn reserve_and_commit(quotas: &Quotas, profile: &Profile) {
    match quotas.reserve(profile, "remix", 1) {
        Answer::Ready(Ok(Decision::Granted(reservation))) => reservation.commit(),
        answer => panic!("books in memory grant at once what nobody uses up: {answer:?}"),
    }
}

//! What several test files need.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tower_quota::{
    Decision, Denial, Limit, ManualClock, Plan, Profile, Quotas, Reservation, Window,
};

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An instant in RFC 3339.
pub fn at(instant: &str) -> DateTime<Utc> {
    instant.parse().unwrap()
}

/// Noon of a Tuesday.
pub fn noon() -> ManualClock {
    ManualClock::at(at("2026-11-24T12:00:00Z"))
}

/// An engine with a plan `free` of one feature `remix` with these limits.
pub fn remix(clock: &ManualClock, limits: impl IntoIterator<Item = Limit>) -> Quotas {
    let plan = Plan::new("free").feature("remix", limits);
    Quotas::builder().plan(plan).clock(clock.clone()).build().unwrap()
}

/// An engine that grants `amount` units of `remix` a day.
pub fn daily(clock: &ManualClock, amount: u64) -> Quotas {
    remix(clock, [Limit::new(amount, Window::Day)])
}

/// A profile on the plan `free`.
pub fn profile(id: &str) -> Profile {
    Profile::new(id, "free")
}

/// An answer that the memory store gives at once.
pub fn now<T>(answer: tower_quota::store::Answer<T>) -> T {
    match answer {
        tower_quota::store::Answer::Ready(answer) => answer,
        tower_quota::store::Answer::Pending(_) => panic!("the memory store never waits"),
    }
}

/// Reserves one unit of `remix`.
pub fn reserve(quotas: &Quotas, profile: &Profile) -> Decision {
    now(quotas.reserve(profile, "remix", 1)).unwrap()
}

pub fn granted(decision: Decision) -> Reservation {
    match decision {
        Decision::Granted(reservation) => reservation,
        Decision::Denied(denial) => panic!("denied: {denial:?}"),
    }
}

pub fn denied(decision: Decision) -> Denial {
    match decision {
        Decision::Granted(reservation) => panic!("granted: {reservation:?}"),
        Decision::Denied(denial) => denial,
    }
}

/// What is used and held of the first limit of `remix`.
pub fn used_and_held(quotas: &Quotas, profile: &Profile) -> (u64, u64) {
    let usage = now(quotas.usage(profile)).unwrap();
    let status = usage.feature("remix").unwrap().statuses().next().unwrap();
    (status.used(), status.held())
}

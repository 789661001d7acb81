//! What several test files need.

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
pub(crate) mod counters;
mod deferred_store;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod directory;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod engine;
mod layers;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod many_lapsed;
#[cfg(feature = "remote")]
mod plain_books;
pub(crate) mod programs;
pub(crate) mod proxy;
#[cfg(feature = "remote")]
pub(crate) mod remote_books;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) mod servers;
mod shared_books;
mod stores;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod swept;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tower_quota::{
    Decision, Denial, Limit, ManualClock, Plan, Profile, Quotas, Reservation, Status, Window,
};

pub(crate) use deferred_store::DeferredStore;
#[cfg(feature = "sqlite")]
pub(crate) use directory::Directory;
pub(crate) use layers::*;
#[cfg(feature = "remote")]
pub(crate) use plain_books::PlainBooks;
pub(crate) use shared_books::SharedBooks;
pub(crate) use stores::*;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An instant in RFC 3339.
pub(crate) fn at(instant: &str) -> DateTime<Utc> {
    instant.parse().unwrap()
}

/// Noon of a Tuesday.
pub(crate) fn noon() -> ManualClock {
    ManualClock::at(at("2026-11-24T12:00:00Z"))
}

/// An engine with a plan `free` of one feature `remix` with these limits.
pub(crate) fn remix(clock: &ManualClock, limits: impl IntoIterator<Item = Limit>) -> Quotas {
    let plan = Plan::new("free").feature("remix", limits);
    Quotas::builder().plan(plan).clock(clock.clone()).build().unwrap()
}

/// An engine that grants `amount` units of `remix` a day.
pub(crate) fn daily(clock: &ManualClock, amount: u64) -> Quotas {
    remix(clock, [Limit::new(amount, Window::Day)])
}

/// A profile on the plan `free`.
pub(crate) fn profile(id: &str) -> Profile {
    Profile::new(id, "free")
}

/// An answer that the memory store gives at once.
pub(crate) fn now<T>(answer: tower_quota::store::Answer<T>) -> T {
    match answer {
        tower_quota::store::Answer::Ready(answer) => answer,
        tower_quota::store::Answer::Pending(_) => panic!("the memory store never waits"),
    }
}

/// Reserves one unit of `remix`.
pub(crate) fn reserve(quotas: &Quotas, profile: &Profile) -> Decision {
    now(quotas.reserve(profile, "remix", 1)).unwrap()
}

pub(crate) fn granted(decision: Decision) -> Reservation {
    match decision {
        Decision::Granted(reservation) => reservation,
        Decision::Denied(denial) => panic!("denied: {denial:?}"),
    }
}

pub(crate) fn denied(decision: Decision) -> Denial {
    match decision {
        Decision::Granted(reservation) => panic!("granted: {reservation:?}"),
        Decision::Denied(denial) => denial,
    }
}

/// What is used and held of the first limit of `remix`.
pub(crate) fn used_and_held(quotas: &Quotas, profile: &Profile) -> (u64, u64) {
    let usage = now(quotas.usage(profile)).unwrap();
    let status = usage.feature("remix").unwrap().statuses().next().unwrap();
    (status.used(), status.held())
}

/// Reserves some units of `remix`.
pub(crate) fn reserve_units(quotas: &Quotas, profile: &Profile, units: u64) -> Decision {
    now(quotas.reserve(profile, "remix", units)).unwrap()
}

/// Reserves and commits some units of `remix`.
pub(crate) fn spend(quotas: &Quotas, profile: &Profile, units: u64) {
    granted(reserve_units(quotas, profile, units)).commit();
}

/// Where the profile stands with the first limit of a feature.
pub(crate) fn status(quotas: &Quotas, profile: &Profile, feature: &str) -> Status {
    let usage = now(quotas.usage(profile)).unwrap();
    usage.feature(feature).unwrap().statuses().next().unwrap()
}

/// What is used of each limit of `remix`.
pub(crate) fn used_of_each(quotas: &Quotas, profile: &Profile) -> Vec<u64> {
    let usage = now(quotas.usage(profile)).unwrap();
    let standing = usage.feature("remix").unwrap();
    standing.statuses().map(|status| status.used()).collect()
}

/// Runs `run` on so many threads, which start at the same moment.
pub(crate) fn race<T: Send>(threads: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (barrier, run) = (Barrier::new(threads), &run);
    let barrier = &barrier;
    thread::scope(|scope| {
        let runner = |number| {
            scope.spawn(move || {
                barrier.wait();
                run(number)
            })
        };
        let runners: Vec<_> = (0..threads).map(runner).collect();
        runners.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

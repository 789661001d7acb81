//! The same of limits that follow the profile's calendar, of which the last window is kept.

use std::error::Error as _;

use tower_quota::{
    Error, Limit, ManualClock, MemoryStore, Plan, Profile, Quotas, StoreError, Window,
};

use super::{granted, spend, tick, ticking};
use crate::support::{at, denied, noon, now, profile, remix, reserve, used_and_held};

fn monthly(amount: u64) -> Limit {
    Limit::new(amount, Window::Month).profile_calendar()
}

#[track_caller]
fn skew(quotas: &Quotas, profile: &Profile) -> StoreError {
    match now(quotas.reserve(profile, "remix", 1)) {
        Err(Error::Store(error)) if error.is_clock_skew() => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_window_that_was_begun_years_ahead_is_not_counted_in() {
    let clock = ManualClock::at(at("2036-11-24T12:00:00Z"));
    let quotas = remix(&clock, [monthly(3)]);
    spend(&quotas, &profile("7"), 1);
    clock.set(at("2026-11-24T12:00:00Z"));
    let error = skew(&quotas, &profile("7"));
    assert!(error.source().unwrap().to_string().contains("set back"), "{error:?}");
    spend(&quotas, &profile("8"), 3);
    clock.set(at("2036-11-24T12:00:00Z"));
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
}

/// Failing requests of many ids take no more memory than with other limits.
#[test]
fn counters_in_which_nothing_is_used_are_freed() {
    let plan = Plan::new("free").feature("remix", [monthly(3)]);
    let store = std::sync::Arc::new(MemoryStore::new());
    let builder = Quotas::builder().plan(plan).clock(noon()).store(store.clone());
    let quotas = builder.build().unwrap();
    for id in 0..20_000 {
        granted(reserve(&quotas, &Profile::new(format!("key-{id}"), "free"))).release();
    }
    let books = format!("{store:?}");
    let (_, counted) = books.split_once("counters: ").unwrap();
    let (counters, _) = counted.split_once(',').unwrap();
    let counters: usize = counters.parse().unwrap();
    // Some in each of the 256 parts of the books.
    assert!(counters < 5_000, "{books}");
}

/// The window after it was empty when it was swept, and took the place of the one that was used up.
#[test]
fn a_used_up_window_is_not_granted_again_when_the_clock_steps_back() {
    let clock = ManualClock::at(at("2026-01-10T12:00:00Z"));
    let quotas = ticking(&clock, monthly(1));
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
    clock.set(at("2026-02-10T12:00:00Z"));
    granted(reserve(&quotas, &profile("7"))).release();
    clock.set(at("2026-06-10T12:00:00Z"));
    tick(&quotas, &clock, 50);
    clock.set(at("2026-01-10T12:00:00Z"));
    skew(&quotas, &profile("7"));
}

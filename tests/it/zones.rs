//! Calendar windows in every zone, against a slow oracle that walks from date to date.

mod oracle;
mod places;

use std::collections::HashSet;

use chrono::{DateTime, Utc, Weekday};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tower_quota::{Limit, ManualClock, Plan, Profile, Quotas, Span, Timestamp, Window};

use crate::support::now;
use oracle::Oracle;

/// What is tested of each zone, under the names of the limits.
const WINDOWS: [(&str, Window); 6] = [
    ("hour", Window::Hour),
    ("day", Window::Day),
    ("week", Window::Week),
    ("sunday", Window::Week),
    ("month", Window::Month),
    ("year", Window::Year),
];

/// An engine whose one feature has a limit of each kind.
fn engine(clock: &ManualClock) -> Quotas {
    let limits = WINDOWS.map(|(name, window)| {
        let limit = Limit::new(1, window).named(name).profile_calendar();
        if name == "sunday" { limit.week_start(Weekday::Sun) } else { limit }
    });
    let plan = Plan::new("free").feature("remix", limits);
    Quotas::builder().plan(plan).clock(clock.clone()).build().unwrap()
}

fn guest(zone: Tz, billing_day: u8) -> Profile {
    Profile::new("7", "free").zone(zone).billing_day(billing_day).unwrap()
}

/// The windows that the engine has around the clock's present, as the limits are ordered.
fn windows(quotas: &Quotas, guest: &Profile) -> Vec<Span> {
    let usage = now(quotas.usage(guest)).unwrap();
    let statuses = usage.feature("remix").unwrap().statuses();
    let span = |end: DateTime<Utc>, seconds: u64| {
        let end = Timestamp::from(end);
        let length = i64::try_from(seconds * 1_000).unwrap();
        Span { start: Timestamp::from_millis(end.as_millis() - length), end }
    };
    statuses.map(|it| span(it.resets_at().unwrap(), it.window_seconds().unwrap())).collect()
}

/// Random numbers, the same in every run.
fn dice() -> TestRng {
    TestRng::deterministic_rng(RngAlgorithm::ChaCha)
}

/// The instants around which windows may be wrong: where clocks are set and the midnights beside
/// that.
fn instants(oracle: &Oracle, dice: &mut TestRng) -> Vec<i64> {
    const HOUR: i64 = 3_600_000;
    let mut instants = Vec::new();
    for change in oracle.changes() {
        // Beyond what has been decreed, years are alike.
        if change < oracle::DECREED || dice.random_range(0..16) == 0 {
            let beside = dice.random_range(-50 * HOUR..50 * HOUR);
            instants.extend([change - 1, change, change + beside]);
        }
    }
    instants
}

/// Windows are where the oracle finds them, and the one that follows begins where one ends: a
/// request at `resets_at` is in the next one.
#[test]
fn windows_of_every_zone_tile_time_as_its_calendar_says() {
    let clock = ManualClock::at(DateTime::UNIX_EPOCH);
    let quotas = engine(&clock);
    let mut dice = dice();
    let mut known = HashSet::new();
    for zone in TZ_VARIANTS {
        let oracle = Oracle::new(zone);
        let mut all: Vec<i64> =
            (0..12).map(|_| dice.random_range(oracle::FIRST..oracle::LAST)).collect();
        // Many zones are other names of one.
        if known.insert(oracle.stretches().to_vec()) {
            all.extend(instants(&oracle, &mut dice));
        }
        for instant in all {
            let billing_day = [1, 15, 29, 30, 31][dice.random_range(0..5)];
            let guest = guest(zone, billing_day);
            clock.set(DateTime::from_timestamp_millis(instant).unwrap());
            let found = windows(&quotas, &guest);
            for (index, (name, window)) in WINDOWS.into_iter().enumerate() {
                let start = if name == "sunday" { Weekday::Sun } else { Weekday::Mon };
                let told = oracle.window(window, start, billing_day, instant);
                assert_eq!(found[index], told, "{name} from {billing_day} in {zone} at {instant}");
            }
            let which = dice.random_range(0..WINDOWS.len());
            clock.set(found[which].end.into());
            let next = windows(&quotas, &guest);
            assert_eq!(next[which].start, found[which].end, "{:?} in {zone}", WINDOWS[which]);
        }
    }
}

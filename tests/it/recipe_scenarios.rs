//! The recipe app's quota service: its scenarios, and its defects that concern the engine.
//!
//! Elsewhere, because they need HTTP: a failed stream inside a 200 (D14), a cached result served to
//! whoever is denied (D15), and the app itself.

mod defects;

use tower_quota::{Decision, Error, Limit, ManualClock, Mode, Plan, Profile, Quotas, Window};

use crate::support::{at, denied, granted, noon, now, profile, race, status};

const DEFAULTS: [(&str, u64); 6] = [
    ("remix", 1),
    ("remix_suggestions", 2),
    ("scale", 2),
    ("tips", 2),
    ("discover", 1),
    ("timer", 3),
];

fn recipe(clock: &ManualClock) -> Quotas {
    let add =
        |plan: Plan, (feature, amount)| plan.feature(feature, [Limit::new(amount, Window::Day)]);
    let plan = DEFAULTS.into_iter().fold(Plan::new("free"), add);
    Quotas::builder().plan(plan).clock(clock.clone()).build().unwrap()
}

fn ask(quotas: &Quotas, profile: &Profile, feature: &str) -> Decision {
    now(quotas.reserve(profile, feature, 1)).unwrap()
}

fn used(quotas: &Quotas, feature: &str) -> u64 {
    status(quotas, &profile("7"), feature).used()
}

/// Where a handler may fail after it has reserved.
#[derive(Clone, Copy, Debug)]
enum Ends {
    NotFound,
    NotOwned,
    Unavailable,
    BadRequest,
    FromTheCache,
    Well,
}

/// As the app's handlers do: reserve, validate, call the AI, and commit what came of it.
fn handle(quotas: &Quotas, ends: Ends) -> Result<u16, u16> {
    let Decision::Granted(reservation) = ask(quotas, &profile("7"), "tips") else {
        return Err(429);
    };
    let validated = match ends {
        Ends::NotFound | Ends::NotOwned => Err(404_u16),
        Ends::BadRequest => Err(400),
        _ => Ok(()),
    };
    validated?;
    match ends {
        Ends::Unavailable => return Err(503),
        Ends::FromTheCache => reservation.release(),
        _ => reservation.commit(),
    }
    Ok(200)
}

#[test]
fn a_limit_of_three_allows_three_then_denies_with_info() {
    let quotas = recipe(&noon());
    for _ in 0..3 {
        granted(ask(&quotas, &profile("7"), "timer")).commit();
    }
    let denial = denied(ask(&quotas, &profile("7"), "timer"));
    let info = denial.status().unwrap();
    assert_eq!((info.remaining(), info.amount(), info.used()), (0, 3, 3));
    let resets_at = info.resets_at().unwrap().to_rfc3339();
    assert_eq!(resets_at, "2026-11-25T00:00:00+00:00");
}

#[test]
fn other_features_and_profiles_are_unaffected() {
    let quotas = recipe(&noon());
    granted(ask(&quotas, &profile("7"), "remix")).commit();
    denied(ask(&quotas, &profile("7"), "remix"));
    granted(ask(&quotas, &profile("7"), "remix_suggestions")).commit();
    granted(ask(&quotas, &profile("8"), "remix")).commit();
}

#[test]
fn unlimited_never_denies_and_is_not_counted() {
    let quotas = recipe(&noon());
    let owner = profile("7").unlimited(true);
    for _ in 0..10 {
        granted(ask(&quotas, &owner, "remix")).commit();
    }
    assert_eq!(used(&quotas, "remix"), 0);
}

#[test]
fn home_never_denies_and_counts_nothing() {
    let quotas = recipe(&noon());
    quotas.set_mode(Mode::Unmetered);
    for _ in 0..10 {
        granted(ask(&quotas, &profile("7"), "remix")).commit();
    }
    assert_eq!(used(&quotas, "remix"), 0);
}

#[test]
fn a_limit_of_zero_denies_at_once() {
    let quotas = recipe(&noon());
    quotas.set_limits("free", [("remix", [Limit::new(0, Window::Day)])]).unwrap();
    let info = denied(ask(&quotas, &profile("7"), "remix")).status().unwrap();
    assert_eq!((info.amount(), info.used(), info.remaining()), (0, 0, 0));
}

#[test]
fn a_date_far_ahead_allows_again() {
    let clock = noon();
    let quotas = recipe(&clock);
    granted(ask(&quotas, &profile("7"), "remix")).commit();
    denied(ask(&quotas, &profile("7"), "remix"));
    clock.set(at("2099-01-01T00:00:00Z"));
    assert_eq!(used(&quotas, "remix"), 0);
    granted(ask(&quotas, &profile("7"), "remix")).commit();
}

#[test]
fn an_operators_change_applies_at_once() {
    let quotas = recipe(&noon());
    granted(ask(&quotas, &profile("7"), "remix")).commit();
    quotas.set_limits("free", [("remix", [Limit::new(2, Window::Day)])]).unwrap();
    granted(ask(&quotas, &profile("7"), "remix")).commit();
    denied(ask(&quotas, &profile("7"), "remix"));
}

#[test]
fn unused_is_all_zeros() {
    let quotas = recipe(&noon());
    let usage = now(quotas.usage(&profile("7"))).unwrap();
    let shown: Vec<_> = usage
        .standings()
        .map(|it| (it.feature(), it.statuses().next().unwrap()))
        .map(|(feature, status)| (feature.to_owned(), status.amount(), status.used()))
        .collect();
    assert_eq!(shown, DEFAULTS.map(|(feature, amount)| (feature.to_owned(), amount, 0)));
}

#[test]
fn an_unknown_feature_is_an_error() {
    let quotas = recipe(&noon());
    let error = now(quotas.reserve(&profile("7"), "translate", 1)).unwrap_err();
    assert!(matches!(error, Error::UnknownFeature(_)));
}

#[test]
fn reserve_then_release_gives_zero_and_allows_again() {
    let quotas = recipe(&noon());
    granted(ask(&quotas, &profile("7"), "remix")).release();
    assert_eq!(used(&quotas, "remix"), 0);
    granted(ask(&quotas, &profile("7"), "remix")).commit();
}

/// A guard cannot be released without having been granted; the operator's credit can.
#[test]
fn a_release_with_nothing_held_stays_at_zero() {
    let quotas = recipe(&noon());
    now(quotas.credit(&profile("7"), "remix", 1)).unwrap();
    assert_eq!(used(&quotas, "remix"), 0);
    granted(ask(&quotas, &profile("7"), "remix")).commit();
    denied(ask(&quotas, &profile("7"), "remix"));
}

#[test]
fn ten_threads_on_a_fresh_key_get_exactly_three() {
    for _ in 0..50 {
        let quotas = recipe(&noon());
        let decisions = race(10, |_| ask(&quotas, &profile("7"), "timer"));
        let granted = decisions.iter().filter(|it| matches!(it, Decision::Granted(_)));
        assert_eq!(granted.count(), 3);
    }
}

#[test]
fn ten_threads_reserving_and_releasing_are_never_negative() {
    let quotas = recipe(&noon());
    race(10, |_| {
        for _ in 0..200 {
            drop(ask(&quotas, &profile("7"), "timer"));
            let status = status(&quotas, &profile("7"), "timer");
            assert!(status.used() == 0 && status.held() <= 3);
        }
    });
    let status = status(&quotas, &profile("7"), "timer");
    assert_eq!((status.used(), status.held()), (0, 0));
}

#[test]
fn a_cached_result_leaves_usage_at_zero() {
    let quotas = recipe(&noon());
    assert_eq!(handle(&quotas, Ends::FromTheCache), Ok(200));
    assert_eq!(used(&quotas, "tips"), 0);
}

#[test]
fn each_failing_handler_releases_exactly_once() {
    for ends in [Ends::NotFound, Ends::NotOwned, Ends::Unavailable, Ends::BadRequest] {
        let quotas = recipe(&noon());
        assert_eq!(handle(&quotas, Ends::Well), Ok(200));
        handle(&quotas, ends).unwrap_err();
        // Twice would give back what the first had used.
        assert_eq!(used(&quotas, "tips"), 1, "{ends:?}");
        assert_eq!(status(&quotas, &profile("7"), "tips").held(), 0, "{ends:?}");
        assert_eq!(handle(&quotas, Ends::Well), Ok(200));
        assert_eq!(handle(&quotas, Ends::Well), Err(429));
    }
}

#[test]
fn a_denied_third_reserve_leaves_usage_at_two() {
    let quotas = recipe(&noon());
    let ends = [0; 3].map(|_| handle(&quotas, Ends::Well));
    assert_eq!(ends, [Ok(200), Ok(200), Err(429)]);
    assert_eq!(used(&quotas, "tips"), 2);
}

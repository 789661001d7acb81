//! The defects of the recipe app's quota service, each passed.

use std::time::Duration;

use futures::future::FutureExt;
use tower_quota::{Check, Decision, Error, Limit, ManualClock, Mode, Profile, Window};

use super::{ask, recipe, used};
use crate::support::{
    BrokenStore, DAY, at, daily, daily_in, denied, granted, noon, now, profile, race, reserve,
    spend, status, used_and_held,
};

/// Whether it was granted; then it is spent.
fn commit(decision: Decision) -> bool {
    match decision {
        Decision::Granted(reservation) => reservation.commit(),
        Decision::Denied(_) => return false,
    }
    true
}

#[test]
fn d1_a_daily_count_does_not_expire_after_five_minutes() {
    let clock = noon();
    let quotas = recipe(&clock);
    granted(ask(&quotas, &profile("7"), "remix")).commit();
    clock.advance(Duration::from_secs(301));
    denied(ask(&quotas, &profile("7"), "remix"));
}

#[test]
fn d2_four_hundred_attempts_by_eight_grant_exactly_fifty() {
    let quotas = daily(&noon(), 50);
    let grants = race(8, |_| (0..50).filter(|_| commit(reserve(&quotas, &profile("7")))).count());
    assert_eq!(grants.iter().sum::<usize>(), 50);
}

#[test]
fn d3_a_denied_request_leaves_no_phantom() {
    let quotas = daily(&noon(), 1);
    let holder = granted(reserve(&quotas, &profile("7")));
    denied(reserve(&quotas, &profile("7")));
    holder.release();
    granted(reserve(&quotas, &profile("7"))).commit();
}

#[test]
fn d4_a_release_after_midnight_refunds_nothing_to_the_new_day() {
    let clock = noon();
    let quotas = daily(&clock, 1);
    let yesterdays = granted(reserve(&quotas, &profile("7")));
    clock.advance(DAY);
    spend(&quotas, &profile("7"), 1);
    yesterdays.release();
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn d5_the_last_second_of_a_day_counts() {
    let clock = ManualClock::at(at("2026-11-24T23:59:59.500Z"));
    let quotas = daily(&clock, 1);
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

/// D6, D7: whoever comes at the turn of the day finds one of the two days, whole.
#[test]
fn d6_a_race_at_midnight_grants_each_day_its_own() {
    for _ in 0..20 {
        let clock = ManualClock::at(at("2026-11-24T23:59:59.999Z"));
        let quotas = daily(&clock, 10);
        race(8, |number| {
            for round in 0..20 {
                if number == 0 && round == 10 {
                    clock.advance(Duration::from_millis(1));
                }
                commit(reserve(&quotas, &profile("7")));
            }
        });
        // Thread 0 alone asks ten times in each of the days.
        assert_eq!(used_and_held(&quotas, &profile("7")), (10, 0));
        clock.set(at("2026-11-24T12:00:00Z"));
        assert_eq!(used_and_held(&quotas, &profile("7")), (10, 0));
    }
}

#[test]
fn d7_a_reader_deletes_no_fresh_count() {
    let clock = noon();
    let quotas = daily(&clock, 1);
    spend(&quotas, &profile("7"), 1);
    clock.advance(DAY);
    spend(&quotas, &profile("7"), 1);
    for _ in 0..100 {
        used_and_held(&quotas, &profile("7"));
        let check = now(quotas.check(&profile("7"), "remix", 1)).unwrap();
        assert!(matches!(check, Check::Denied(_)));
    }
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn d8_a_failing_store_grants_nothing_and_denies_nothing() {
    let quotas = daily_in(BrokenStore::AtOnce, 1);
    let error = now(quotas.reserve(&profile("7"), "remix", 1)).unwrap_err();
    assert!(matches!(error, Error::Store(_)));
}

#[test]
fn d9_other_keys_push_no_count_out() {
    let quotas = daily(&noon(), 1);
    spend(&quotas, &profile("7"), 1);
    for other in 0..5_000 {
        spend(&quotas, &Profile::new(format!("other-{other}"), "free"), 1);
    }
    denied(reserve(&quotas, &profile("7")));
}

/// D10: clamping at zero was a get and a set.
#[test]
fn d10_a_credit_loses_no_concurrent_charge() {
    let quotas = daily(&noon(), 1);
    now(quotas.debit(&profile("7"), "remix", 2_000)).unwrap();
    race(8, |number| {
        for _ in 0..500 {
            let changed = match number % 2 {
                0 => quotas.credit(&profile("7"), "remix", 1),
                _ => quotas.record(&profile("7"), "remix", 1),
            };
            now(changed).unwrap();
        }
    });
    assert_eq!(used_and_held(&quotas, &profile("7")), (2_000, 0));
}

#[test]
fn d11_a_mode_that_changes_midflight_leaks_and_refunds_nothing() {
    let quotas = daily(&noon(), 2);
    let held = granted(reserve(&quotas, &profile("7")));
    quotas.set_mode(Mode::Unmetered);
    let free = granted(reserve(&quotas, &profile("7")));
    held.commit();
    quotas.set_mode(Mode::Enforce);
    free.release();
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
}

#[test]
fn d12_use_above_a_lowered_limit_is_shown_with_nothing_remaining() {
    let quotas = recipe(&noon());
    for _ in 0..3 {
        granted(ask(&quotas, &profile("7"), "timer")).commit();
    }
    quotas.set_limits("free", [("timer", [Limit::new(1, Window::Day)])]).unwrap();
    let status = status(&quotas, &profile("7"), "timer");
    assert_eq!((status.amount(), status.used(), status.remaining()), (1, 3, 0));
}

#[test]
fn d13_a_request_that_is_dropped_midway_gives_back_what_it_held() {
    let quotas = daily(&noon(), 1);
    let engine = quotas.clone();
    let mut request = Box::pin(async move {
        let decision = engine.reserve(&profile("7"), "remix", 1).await.unwrap();
        let _held = granted(decision);
        std::future::pending::<()>().await;
    });
    assert!(request.as_mut().now_or_never().is_none());
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 1));
    drop(request);
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
}

/// D16: a route that makes several AI calls takes several units, all or none.
#[test]
fn d16_a_request_takes_as_many_units_as_it_makes_calls() {
    let quotas = recipe(&noon());
    let take = |units| now(quotas.reserve(&profile("7"), "timer", units)).unwrap();
    granted(take(2)).commit();
    denied(take(2));
    granted(take(1)).commit();
    assert_eq!(used(&quotas, "timer"), 3);
}

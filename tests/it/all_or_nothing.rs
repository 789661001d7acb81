//! Law 2: all or nothing. A reservation takes of all limits of a feature or of none.

use proptest::prelude::*;
use tower_quota::{Decision, Denial, Limit, Quotas, Reservation, Window};

use crate::support::{
    DAY, at, denied, granted, noon, now, profile, race, remix, reserve, reserve_units, spend,
    used_of_each,
};

/// Two a minute, within five a day.
fn burst_and_day() -> [Limit; 2] {
    let burst = Limit::new(2, Window::Minute).named("burst");
    [burst, Limit::new(5, Window::Day)]
}

fn names(denial: &Denial) -> Vec<String> {
    let violated = denial.violated();
    violated.map(|status| status.limit().to_owned()).collect()
}

fn held_of_each(quotas: &Quotas) -> Vec<u64> {
    let usage = now(quotas.usage(&profile("7"))).unwrap();
    let standing = usage.feature("remix").unwrap();
    standing.statuses().map(|status| status.held()).collect()
}

#[test]
fn a_tripped_limit_takes_nothing_of_the_others() {
    let [burst, day] = burst_and_day();
    for limits in [[burst.clone(), day.clone()], [day, burst]] {
        let quotas = remix(&noon(), limits);
        spend(&quotas, &profile("7"), 2);
        for _ in 0..10 {
            denied(reserve(&quotas, &profile("7")));
        }
        assert_eq!(used_of_each(&quotas, &profile("7")), [2, 2]);
        assert_eq!(held_of_each(&quotas), [0, 0]);
    }
}

#[test]
fn a_grant_holds_and_settles_every_limit() {
    let quotas = remix(&noon(), burst_and_day());
    let reservation = granted(reserve_units(&quotas, &profile("7"), 2));
    assert_eq!(held_of_each(&quotas), [2, 2]);
    reservation.commit_units(1);
    assert_eq!(used_of_each(&quotas, &profile("7")), [1, 1]);
    granted(reserve(&quotas, &profile("7"))).release();
    assert_eq!(used_of_each(&quotas, &profile("7")), [1, 1]);
    assert_eq!(held_of_each(&quotas), [0, 0]);
}

#[test]
fn record_credit_and_reset_reach_every_limit() {
    let quotas = remix(&noon(), burst_and_day());
    now(quotas.record(&profile("7"), "remix", 4)).unwrap();
    assert_eq!(used_of_each(&quotas, &profile("7")), [4, 4]);
    now(quotas.credit(&profile("7"), "remix", 1)).unwrap();
    assert_eq!(used_of_each(&quotas, &profile("7")), [3, 3]);
    now(quotas.reset(&profile("7"), "remix")).unwrap();
    assert_eq!(used_of_each(&quotas, &profile("7")), [0, 0]);
}

#[test]
fn a_denial_names_the_limit_that_tripped() {
    let clock = noon();
    let quotas = remix(&clock, burst_and_day());
    spend(&quotas, &profile("7"), 2);
    let denial = denied(reserve(&quotas, &profile("7")));
    assert_eq!(names(&denial), ["burst"]);
    assert_eq!(denial.status().unwrap().limit(), "burst");
    assert_eq!(denial.retry_after(), Some(60));
    // The one that did not trip is still told about.
    assert_eq!(denial.standing().statuses().count(), 2);

    clock.set(at("2026-11-24T12:01:00Z"));
    spend(&quotas, &profile("7"), 2);
    clock.set(at("2026-11-24T12:02:00Z"));
    let denial = denied(reserve_units(&quotas, &profile("7"), 2));
    assert_eq!(names(&denial), ["day"]);
}

#[test]
fn of_two_that_tripped_the_denial_shows_the_one_that_waits_longest() {
    let [burst, day] = burst_and_day();
    for limits in [[burst.clone(), day.clone()], [day, burst]] {
        let quotas = remix(&noon(), limits);
        now(quotas.record(&profile("7"), "remix", 5)).unwrap();
        let denial = denied(reserve(&quotas, &profile("7")));
        assert_eq!(denial.violated().count(), 2);
        assert_eq!(denial.status().unwrap().limit(), "day");
        assert_eq!(denial.retry_after(), Some(DAY.as_secs() / 2));
        assert_eq!(denial.resets_at(), Some(at("2026-11-25T00:00:00Z")));
    }
}

#[test]
fn a_limit_that_never_fits_outlasts_one_that_resets() {
    let quotas = remix(&noon(), burst_and_day());
    now(quotas.record(&profile("7"), "remix", 3)).unwrap();
    // Three fit into a day, never into a burst.
    let denial = denied(reserve_units(&quotas, &profile("7"), 3));
    assert_eq!(names(&denial), ["burst", "day"]);
    assert_eq!(denial.status().unwrap().limit(), "burst");
    assert_eq!(denial.retry_after(), None);
}

#[test]
fn a_used_up_lifetime_outlasts_one_that_resets() {
    let limits = [Limit::new(1, Window::Lifetime).named("trial"), Limit::new(1, Window::Day)];
    let clock = noon();
    let quotas = remix(&clock, limits);
    spend(&quotas, &profile("7"), 1);
    let denial = denied(reserve(&quotas, &profile("7")));
    assert_eq!(names(&denial), ["trial", "day"]);
    assert_eq!(denial.status().unwrap().limit(), "trial");
    assert_eq!((denial.resets_at(), denial.retry_after()), (None, None));

    clock.advance(DAY);
    let denial = denied(reserve(&quotas, &profile("7")));
    assert_eq!(names(&denial), ["trial"]);
    assert_eq!(used_of_each(&quotas, &profile("7")), [1, 0]);
}

/// Both keep it waiting for good; only one of them never starts over.
#[test]
fn a_used_up_lifetime_outlasts_one_that_never_fits() {
    let [burst, _] = burst_and_day();
    let trial = Limit::new(3, Window::Lifetime).named("trial");
    for limits in [[burst.clone(), trial.clone()], [trial, burst]] {
        let quotas = remix(&noon(), limits);
        now(quotas.record(&profile("7"), "remix", 3)).unwrap();
        let denial = denied(reserve_units(&quotas, &profile("7"), 3));
        assert_eq!(denial.violated().count(), 2);
        assert_eq!((denial.resets_at(), denial.retry_after()), (None, None));
        assert_eq!(denial.status().unwrap().limit(), "trial");
    }
}

#[test]
fn racing_threads_take_the_same_of_every_limit() {
    let limits = [
        Limit::new(300, Window::Hour),
        Limit::new(200, Window::Day),
        Limit::new(400, Window::Month),
    ];
    let quotas = remix(&noon(), limits);
    let grants = race(8, |number| {
        let mut kept = 0;
        for round in 0..200 {
            if let Decision::Granted(reservation) = reserve(&quotas, &profile("7")) {
                if (round + number) % 3 == 0 {
                    reservation.commit();
                    kept += 1;
                } else {
                    reservation.release();
                }
            }
        }
        kept
    });
    let kept: u64 = grants.into_iter().sum();
    assert_eq!(used_of_each(&quotas, &profile("7")), [kept; 3]);
    assert_eq!(held_of_each(&quotas), [0; 3]);
    assert!(kept <= 200);
}

#[test]
fn racing_threads_reach_exactly_the_smallest_limit() {
    let limits = [Limit::new(300, Window::Hour), Limit::new(200, Window::Day)];
    let quotas = remix(&noon(), limits);
    race(8, |_| {
        for _ in 0..100 {
            if let Decision::Granted(reservation) = reserve(&quotas, &profile("7")) {
                reservation.commit();
            }
        }
    });
    assert_eq!(used_of_each(&quotas, &profile("7")), [200, 200]);
}

proptest! {
    /// Granted exactly if it fits into all, and then it is taken of all.
    #[test]
    fn a_request_is_granted_exactly_if_every_limit_has_room(
        amounts in prop::array::uniform3(0..12_u64),
        requests in prop::collection::vec(1..5_u64, 1..12),
    ) {
        let windows = [Window::Minute, Window::Month, Window::Lifetime];
        let limits = windows.into_iter().zip(amounts);
        let quotas = remix(&noon(), limits.map(|(window, amount)| Limit::new(amount, window)));
        let mut used = 0;
        let mut open = Vec::<Reservation>::new();
        for units in requests {
            let decision = reserve_units(&quotas, &profile("7"), units);
            let full = |amount: &u64| used + units > *amount;
            match decision {
                Decision::Granted(reservation) => {
                    prop_assert!(!amounts.iter().any(full));
                    used += units;
                    open.push(reservation);
                }
                Decision::Denied(denial) => {
                    let full = amounts.iter().filter(|amount| full(amount));
                    prop_assert_eq!(denial.violated().count(), full.count());
                    prop_assert!(denial.violated().next().is_some());
                }
            }
            prop_assert_eq!(held_of_each(&quotas), [used; 3]);
        }
        open.into_iter().for_each(Reservation::commit);
        prop_assert_eq!(used_of_each(&quotas, &profile("7")), [used; 3]);
    }
}

//! Law 5: never negative, never forgotten. A count lasts as long as its window, and settling by id
//! is idempotent.

mod calendars;

use std::time::Duration;

use tower_quota::{
    Decision, Error, Limit, ManualClock, Mode, Plan, Profile, Quotas, Reservation, Window,
};

use crate::support::{
    DAY, SharedBooks, at, daily, denied, granted, noon, now, profile, race, remix, reserve,
    reserve_units, spend, status, used_and_held,
};

/// An engine with a second feature, whose windows are so short that it keeps opening counters, and
/// so sweeping the books of the profile that uses it.
fn ticking(clock: &ManualClock, limit: Limit) -> Quotas {
    let plan = Plan::new("free")
        .feature("remix", [limit])
        .feature("tick", [Limit::new(1, Window::Second)]);
    Quotas::builder().plan(plan).clock(clock.clone()).build().unwrap()
}

fn tick(quotas: &Quotas, clock: &ManualClock, times: usize) {
    for _ in 0..times {
        clock.advance(Duration::from_secs(1));
        granted(now(quotas.reserve(&profile("7"), "tick", 1)).unwrap()).commit();
    }
}

/// D1: the daily counter expired 300 s after its last touch.
#[test]
fn a_used_up_day_is_still_used_up_five_minutes_later() {
    let clock = noon();
    let quotas = ticking(&clock, Limit::new(3, Window::Day));
    spend(&quotas, &profile("7"), 3);
    tick(&quotas, &clock, 301);
    denied(reserve(&quotas, &profile("7")));
    assert_eq!(used_and_held(&quotas, &profile("7")), (3, 0));
}

#[test]
fn a_count_outlives_heavy_traffic_until_its_window_ends() {
    let start = at("2026-11-01T00:00:00Z");
    let clock = ManualClock::at(start);
    let quotas = ticking(&clock, Limit::new(3, Window::Month));
    spend(&quotas, &profile("7"), 3);
    for day in 0..30_u32 {
        for other in 0..500 {
            let other = Profile::new(format!("{day}-{other}"), "free");
            spend(&quotas, &other, 1);
            granted(now(quotas.reserve(&other, "tick", 1)).unwrap()).commit();
        }
        tick(&quotas, &clock, 100);
        denied(reserve(&quotas, &profile("7")));
        clock.set(start + DAY * (day + 1));
    }
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
    spend(&quotas, &profile("7"), 3);
}

/// D9: a bounded cache forgot an exhausted victim among 20,000 one-shot keys.
#[test]
fn twenty_thousand_other_keys_do_not_give_a_quota_back() {
    let quotas = daily(&noon(), 2);
    spend(&quotas, &profile("victim"), 1);
    let held = granted(reserve(&quotas, &profile("victim")));
    for key in 0..20_000 {
        spend(&quotas, &Profile::new(format!("key-{key}"), "free"), 1);
    }
    denied(reserve(&quotas, &profile("victim")));
    assert_eq!(used_and_held(&quotas, &profile("victim")), (1, 1));
    held.commit();
    assert_eq!(used_and_held(&quotas, &profile("victim")), (2, 0));
}

#[test]
fn a_lifetime_is_never_over() {
    let clock = noon();
    let quotas = ticking(&clock, Limit::new(1, Window::Lifetime));
    spend(&quotas, &profile("7"), 1);
    for _ in 0..20 {
        clock.advance(DAY * 365);
        tick(&quotas, &clock, 20);
        denied(reserve(&quotas, &profile("7")));
    }
}

#[test]
fn a_credit_stops_at_zero() {
    let quotas = daily(&noon(), 2);
    now(quotas.credit(&profile("7"), "remix", 5)).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
    spend(&quotas, &profile("7"), 1);
    let _held = granted(reserve(&quotas, &profile("7")));
    now(quotas.credit(&profile("7"), "remix", u64::MAX)).unwrap();
    // What is held stays held, and nothing was saved up.
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 1));
    now(quotas.debit(&profile("7"), "remix", 1)).unwrap();
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn ten_threads_that_reserve_and_release_never_go_below_zero() {
    let quotas = daily(&noon(), 3);
    race(10, |_| {
        for _ in 0..1_000 {
            if let Decision::Granted(reservation) = reserve(&quotas, &profile("7")) {
                reservation.release();
            }
            // Below zero it would be far above the amount.
            let (used, held) = used_and_held(&quotas, &profile("7"));
            assert!(used == 0 && held <= 3, "{used} used, {held} held");
        }
    });
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
}

/// An engine of five units a day, whose every reservation is the first one again.
fn retrying() -> (SharedBooks, Quotas) {
    let books = SharedBooks::retrying();
    let quotas = books.remix(&noon(), [Limit::new(5, Window::Day)]);
    (books, quotas)
}

#[test]
fn the_same_hold_again_is_the_same_grant() {
    let (_, quotas) = retrying();
    let _first = granted(reserve_units(&quotas, &profile("7"), 5));
    // A second hold of five would not fit.
    let again = granted(reserve_units(&quotas, &profile("7"), 5));
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 5));
    assert_eq!(again.standing().statuses().next().unwrap().held(), 5);
}

#[test]
fn a_hold_is_settled_once() {
    type Settle = fn(Reservation);
    let commit: Settle = Reservation::commit;
    let charge: Settle = |reservation| reservation.commit_units(3);
    let release: Settle = Reservation::release;
    for (first, used) in [(commit, 2), (charge, 3), (release, 0)] {
        for second in [commit, charge, release] {
            let (_, quotas) = retrying();
            let [one, other] = [0; 2].map(|_| granted(reserve_units(&quotas, &profile("7"), 2)));
            first(one);
            second(other);
            assert_eq!(used_and_held(&quotas, &profile("7")), (used, 0));
        }
    }
}

#[test]
fn a_settlement_creates_no_counter() {
    let (books, quotas) = retrying();
    let empty = books.written();
    let [one, other] = [0; 2].map(|_| granted(reserve_units(&quotas, &profile("7"), 2)));
    assert_ne!(books.written(), empty, "the books can be seen");
    one.commit();
    now(quotas.reset(&profile("7"), "remix")).unwrap();
    let reset = books.written();
    other.commit();
    assert_eq!(books.written(), reset);
}

/// The books use the place of a counter again: a hold must not be settled into its successor.
#[test]
fn a_settlement_reaches_no_other_count() {
    for opened in 1..4 {
        let clock = noon();
        let quotas = ticking(&clock, Limit::new(1, Window::Day));
        // Together they are more than can be counted.
        quotas.set_mode(Mode::Shadow);
        let [all, few] = [u64::MAX, 5].map(|units| reserve_units(&quotas, &profile("7"), units));
        granted(all).release();
        tick(&quotas, &clock, opened);
        clock.advance(Duration::from_secs(1));
        let _tick = granted(now(quotas.reserve(&profile("7"), "tick", 7)).unwrap());
        granted(few).commit();
        let tick = status(&quotas, &profile("7"), "tick");
        assert_eq!((tick.used(), tick.held()), (0, 7), "after {opened} counters");
        assert_eq!(used_and_held(&quotas, &profile("7")), (5, 0), "after {opened} counters");
    }
}

#[test]
fn a_window_that_is_remembered_goes_on_when_the_clock_steps_back() {
    let clock = ManualClock::at(at("2026-11-24T23:59:50Z"));
    let quotas = ticking(&clock, Limit::new(2, Window::Day));
    spend(&quotas, &profile("7"), 1);
    tick(&quotas, &clock, 50);
    clock.set(at("2026-11-24T23:59:55Z"));
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn a_forgotten_window_is_an_error_when_the_clock_steps_back() {
    let clock = noon();
    let quotas = ticking(&clock, Limit::new(1, Window::Day));
    spend(&quotas, &profile("7"), 1);
    clock.advance(DAY);
    tick(&quotas, &clock, 200);
    clock.set(at("2026-11-24T12:00:00Z"));
    let lagging = [
        now(quotas.reserve(&profile("7"), "remix", 1)).map(drop),
        now(quotas.check(&profile("7"), "remix", 1)).map(drop),
        now(quotas.record(&profile("7"), "remix", 1)),
        now(quotas.credit(&profile("7"), "remix", 1)),
        now(quotas.usage(&profile("7"))).map(drop),
    ];
    for answer in lagging {
        match answer {
            Err(Error::Store(error)) => assert!(error.is_transient()),
            other => panic!("neither a fresh count nor a denial: {other:?}"),
        }
    }
    clock.set(at("2026-11-25T12:30:00Z"));
    spend(&quotas, &profile("7"), 1);
}

#[test]
fn a_clock_that_steps_back_within_a_window_changes_nothing() {
    let clock = noon();
    let quotas = remix(&clock, [Limit::new(2, Window::Day)]);
    spend(&quotas, &profile("7"), 1);
    let held = granted(reserve(&quotas, &profile("7")));
    clock.set(at("2026-11-24T00:00:00Z"));
    denied(reserve(&quotas, &profile("7")));
    held.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (2, 0));
}

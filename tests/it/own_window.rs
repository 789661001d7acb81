//! Law 4: in its own window. A settlement goes to the window that was charged, however late.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tower_quota::{Clock, Limit, ManualClock, Quotas, Reservation, Timestamp, Window};

use crate::support::{
    DAY, at, daily, denied, granted, noon, now, profile, remix, reserve, reserve_units, spend,
    used_and_held, used_of_each,
};

const MILLI: Duration = Duration::from_millis(1);

/// What was used and held in the window that holds `instant`. Nothing opens a counter meanwhile, so
/// the past is still remembered.
fn back_then(quotas: &Quotas, clock: &ManualClock, instant: DateTime<Utc>) -> (u64, u64) {
    let present = clock.now();
    clock.set(instant);
    let counts = used_and_held(quotas, &profile("7"));
    clock.set(present.into());
    counts
}

/// D4: the next day is charged nothing for a request of the day before.
#[test]
fn a_commit_after_midnight_is_charged_to_the_day_before() {
    let clock = ManualClock::at(at("2026-11-24T23:59:30Z"));
    let quotas = daily(&clock, 1);
    let reservation = granted(reserve(&quotas, &profile("7")));
    clock.advance(Duration::from_secs(60));
    reservation.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
    assert_eq!(back_then(&quotas, &clock, at("2026-11-24T12:00:00Z")), (1, 0));
    spend(&quotas, &profile("7"), 1);
}

/// D4: a refund does not give back what the next day has used.
#[test]
fn a_release_after_midnight_refunds_nothing_to_the_next_day() {
    let clock = ManualClock::at(at("2026-11-24T23:59:30Z"));
    let quotas = daily(&clock, 1);
    let reservation = granted(reserve(&quotas, &profile("7")));
    clock.advance(Duration::from_secs(60));
    spend(&quotas, &profile("7"), 1);
    reservation.release();
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
    assert_eq!(back_then(&quotas, &clock, at("2026-11-24T12:00:00Z")), (0, 0));
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn a_drop_after_midnight_releases_in_the_day_before() {
    let clock = ManualClock::at(at("2026-11-24T23:59:59Z"));
    let quotas = daily(&clock, 1);
    let reservation = granted(reserve(&quotas, &profile("7")));
    clock.advance(Duration::from_secs(1));
    let next = granted(reserve(&quotas, &profile("7")));
    drop(reservation);
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 1));
    next.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
}

/// D5: ten of ten were allowed at a limit of 1.
#[test]
fn the_last_second_and_the_last_millisecond_of_a_day_count() {
    for last in ["2026-11-24T23:59:59Z", "2026-11-24T23:59:59.999Z"] {
        let clock = ManualClock::at(at(last));
        let quotas = daily(&clock, 1);
        spend(&quotas, &profile("7"), 1);
        for _ in 0..9 {
            let denial = denied(reserve(&quotas, &profile("7")));
            assert_eq!(denial.retry_after(), Some(1));
        }
        assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
    }
}

#[test]
fn the_first_millisecond_of_a_day_is_the_next_days() {
    let clock = ManualClock::at(at("2026-11-24T23:59:59.999Z"));
    let quotas = daily(&clock, 1);
    spend(&quotas, &profile("7"), 1);
    clock.advance(MILLI);
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn a_commit_many_windows_later_still_finds_its_own() {
    let clock = noon();
    let quotas = remix(&clock, [Limit::new(2, Window::Minute)]);
    let reservation = granted(reserve(&quotas, &profile("7")));
    // Each of these opens a counter, and so sweeps: the held one has to survive it.
    for _ in 0..500 {
        clock.advance(Duration::from_secs(60));
        spend(&quotas, &profile("7"), 2);
    }
    reservation.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (2, 0));
    assert_eq!(back_then(&quotas, &clock, at("2026-11-24T12:00:00Z")), (1, 0));
}

#[test]
fn a_request_may_last_into_the_next_month_and_year() {
    let clock = ManualClock::at(at("2026-12-31T23:59:59.999Z"));
    let limits = [Window::Day, Window::Week, Window::Month, Window::Year, Window::Lifetime];
    let quotas = remix(&clock, limits.map(|window| Limit::new(9, window)));
    let reservation = granted(reserve_units(&quotas, &profile("7"), 3));
    clock.advance(MILLI);
    reservation.commit_units(4);
    // The week goes on, for it starts on a Monday.
    assert_eq!(used_of_each(&quotas, &profile("7")), [0, 4, 0, 0, 4]);
    clock.set(at("2026-12-31T00:00:00Z"));
    assert_eq!(used_of_each(&quotas, &profile("7")), [4; 5]);
}

#[test]
fn units_held_yesterday_take_no_room_today() {
    let clock = noon();
    let quotas = daily(&clock, 1);
    let yesterday = granted(reserve(&quotas, &profile("7")));
    clock.advance(DAY);
    let today = granted(reserve(&quotas, &profile("7")));
    yesterday.commit();
    today.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Reserve(u64),
    Settle(prop::sample::Index, Option<u64>),
}

fn steps(longest: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..=longest).prop_map(Step::Advance),
        (1..5_u64).prop_map(Step::Reserve),
        (any::<prop::sample::Index>(), prop::option::of(0..7_u64))
            .prop_map(|(which, units)| Step::Settle(which, units)),
    ];
    prop::collection::vec(step, 1..40)
}

/// A window (its start) and what is used and held in it.
type Book = BTreeMap<Timestamp, (u64, u64)>;

/// Runs the steps on an engine and on a plain model of one limit; gives back what the model says.
fn play(
    quotas: &Quotas,
    clock: &ManualClock,
    window: Window,
    steps: Vec<Step>,
) -> (Book, Vec<Reservation>) {
    let (mut book, mut open) = (Book::new(), Vec::<(Timestamp, Reservation)>::new());
    for step in steps {
        let start = window.around(clock.now()).start;
        match step {
            Step::Advance(millis) => clock.advance(Duration::from_millis(millis)),
            Step::Reserve(units) => {
                open.push((start, granted(reserve_units(quotas, &profile("7"), units))));
                book.entry(start).or_default().1 += units;
            }
            Step::Settle(_, _) if open.is_empty() => {}
            Step::Settle(which, units) => {
                let (start, reservation) = open.remove(which.index(open.len()));
                let held = reservation.units();
                let (used, all_held) = book.get_mut(&start).unwrap();
                *all_held -= held;
                *used += units.unwrap_or(held);
                match units {
                    None => reservation.commit(),
                    Some(0) => reservation.release(),
                    Some(units) => reservation.commit_units(units),
                }
            }
        }
    }
    (book, open.into_iter().map(|(_, reservation)| reservation).collect())
}

proptest! {
    /// Reserving and settling at any time, every window's sum is what a plain model says.
    #[test]
    fn every_window_adds_up(steps in steps(1_400)) {
        let clock = ManualClock::at(at("2026-12-31T23:59:40Z"));
        let quotas = remix(&clock, [Limit::new(1_000, Window::Second)]);
        let (book, _open) = play(&quotas, &clock, Window::Second, steps);
        // All of it lies within a minute: nothing may have been forgotten yet.
        for (start, counts) in book {
            prop_assert_eq!(back_then(&quotas, &clock, start.into()), counts);
        }
    }

    /// Over long times a window may be forgotten once nothing is held of it, which shows as an
    /// error; it never shows another sum.
    #[test]
    fn a_window_adds_up_or_is_forgotten(steps in steps(400_000)) {
        let clock = noon();
        let quotas = remix(&clock, [Limit::new(1_000, Window::Minute)]);
        let (book, _open) = play(&quotas, &clock, Window::Minute, steps);
        let present = Window::Minute.around(clock.now()).start;
        for (start, (used, held)) in book {
            clock.set(start.into());
            match now(quotas.usage(&profile("7"))) {
                Ok(_) => {
                    prop_assert_eq!(used_and_held(&quotas, &profile("7")), (used, held));
                }
                Err(error) => prop_assert!(held == 0 && start < present, "{error}"),
            }
        }
    }
}

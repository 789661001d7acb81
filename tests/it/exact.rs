//! Law 1: exact. N units are granted, never one more, and nobody is denied without reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use tokio::sync::Barrier;
use tower_quota::{Decision, Limit, MAX_UNITS, Mode, Reservation, Window};

use crate::support::{
    SharedBooks, daily, denied, granted, noon, now, profile, race, reserve, reserve_units, spend,
    status, used_and_held,
};

fn grant(decision: Decision) -> Option<Reservation> {
    match decision {
        Decision::Granted(reservation) => Some(reservation),
        Decision::Denied(_) => None,
    }
}

#[test]
fn eight_threads_share_exactly_the_limit() {
    let quotas = daily(&noon(), 1_000);
    let grants = race(8, |_| {
        let reserved = (0..500).filter_map(|_| grant(reserve(&quotas, &profile("7"))));
        reserved.map(Reservation::commit).count()
    });
    assert_eq!(grants.iter().sum::<usize>(), 1_000);
    assert_eq!(used_and_held(&quotas, &profile("7")), (1_000, 0));
}

#[test]
fn eight_threads_hold_exactly_what_fits_of_several_units() {
    let quotas = daily(&noon(), 1_000);
    let holds = race(8, |_| {
        let reserved = (0..100).filter_map(|_| grant(reserve_units(&quotas, &profile("7"), 3)));
        reserved.collect::<Vec<_>>()
    });
    assert_eq!(holds.iter().map(Vec::len).sum::<usize>(), 333);
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 999));
    // What did not suffice for three suffices for one.
    spend(&quotas, &profile("7"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_share_exactly_the_limit() {
    let quotas = daily(&noon(), 100);
    let start = Arc::new(Barrier::new(1_000));
    let task = |_| {
        let (quotas, start) = (quotas.clone(), start.clone());
        tokio::spawn(async move {
            start.wait().await;
            let decision = quotas.reserve(&profile("7"), "remix", 2).await.unwrap();
            grant(decision)
        })
    };
    let tasks: Vec<_> = (0..1_000).map(task).collect();
    let mut holds = Vec::new();
    for task in tasks {
        holds.extend(task.await.unwrap());
    }
    assert_eq!(holds.len(), 50);
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 100));
}

#[test]
fn used_and_held_never_exceed_the_amount_while_others_release() {
    let quotas = daily(&noon(), 10);
    let outstanding = AtomicU64::new(0);
    race(9, |number| {
        for round in 0..2_000_u64 {
            if number == 8 {
                let (used, held) = used_and_held(&quotas, &profile("7"));
                assert!(used + held <= 10, "{used} used and {held} held of 10");
                continue;
            }
            let units = round % 4 + 1;
            let Some(reservation) = grant(reserve_units(&quotas, &profile("7"), units)) else {
                continue;
            };
            // Counted apart from the books, so that they cannot agree with themselves.
            let before = outstanding.fetch_add(units, Ordering::SeqCst);
            assert!(before + units <= 10, "{before} and {units} of 10");
            outstanding.fetch_sub(units, Ordering::SeqCst);
            reservation.release();
        }
    });
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
}

#[test]
fn whoever_fits_is_not_denied_while_others_are() {
    let quotas = daily(&noon(), 4);
    race(8, |number| {
        for _ in 0..2_000 {
            if number < 4 {
                // Four that hold one unit at a time always fit.
                granted(reserve(&quotas, &profile("7"))).release();
            } else {
                denied(reserve_units(&quotas, &profile("7"), 5));
            }
        }
    });
}

/// D3: hold, deny, release, and the one who was denied is in nobody's way.
#[test]
fn a_denied_request_denies_nobody_else() {
    let quotas = daily(&noon(), 1);
    let first = granted(reserve(&quotas, &profile("7")));
    for _ in 0..5 {
        denied(reserve(&quotas, &profile("7")));
    }
    first.release();
    granted(reserve(&quotas, &profile("7"))).commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
}

#[test]
fn a_denial_writes_nothing() {
    let limits = [
        Limit::new(2, Window::Minute),
        Limit::new(5, Window::Day),
        Limit::new(9, Window::Lifetime),
    ];
    let books = SharedBooks::default();
    let quotas = books.remix(&noon(), limits);
    let empty = books.written();
    denied(reserve_units(&quotas, &profile("7"), 3));
    assert_eq!(books.written(), empty, "no counter is opened for a denial");

    let _held = granted(reserve_units(&quotas, &profile("7"), 1));
    spend(&quotas, &profile("7"), 1);
    let before = books.written();
    assert_ne!(before, empty, "the books can be seen");
    denied(reserve(&quotas, &profile("7")));
    assert_eq!(books.written(), before);
}

#[test]
fn more_units_than_can_be_counted_never_fit() {
    for amount in [0, 1, MAX_UNITS] {
        for units in [MAX_UNITS + 1, u64::MAX - 1, u64::MAX] {
            let denial = denied(reserve_units(&daily(&noon(), amount), &profile("7"), units));
            assert_eq!(denial.retry_after(), None, "{units} of {amount}");
        }
    }
}

#[test]
fn the_largest_amount_is_granted_to_the_last_unit() {
    let quotas = daily(&noon(), MAX_UNITS);
    let _all_but_one = granted(reserve_units(&quotas, &profile("7"), MAX_UNITS - 1));
    let denial = denied(reserve_units(&quotas, &profile("7"), 2));
    assert!(denial.retry_after().is_some());
    denied(reserve_units(&quotas, &profile("7"), u64::MAX));
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn a_count_at_the_top_of_its_range_denies_and_saturates() {
    let quotas = daily(&noon(), MAX_UNITS);
    let early = granted(reserve(&quotas, &profile("7")));
    now(quotas.debit(&profile("7"), "remix", u64::MAX)).unwrap();
    for units in [1, 2, MAX_UNITS, u64::MAX] {
        denied(reserve_units(&quotas, &profile("7"), units));
    }
    early.commit_units(u64::MAX);
    assert_eq!(used_and_held(&quotas, &profile("7")), (u64::MAX, 0));
    now(quotas.record(&profile("7"), "remix", 1)).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (u64::MAX, 0));
    assert_eq!(status(&quotas, &profile("7"), "remix").remaining(), 0);

    now(quotas.credit(&profile("7"), "remix", u64::MAX)).unwrap();
    spend(&quotas, &profile("7"), MAX_UNITS);
}

/// In shadow mode nothing bounds what is held but what can be counted.
#[test]
fn what_is_held_in_shadow_mode_is_counted_up_to_the_largest_amount_each() {
    let quotas = daily(&noon(), MAX_UNITS);
    quotas.set_mode(Mode::Shadow);
    let _held: Vec<_> =
        (0..2).map(|_| granted(reserve_units(&quotas, &profile("7"), u64::MAX))).collect();
    quotas.set_mode(Mode::Enforce);
    denied(reserve(&quotas, &profile("7")));
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 2 * MAX_UNITS));
}

/// Giving back a hold of any size leaves what others hold.
#[test]
fn a_large_hold_in_shadow_mode_does_not_wipe_out_the_others() {
    let quotas = daily(&noon(), 5);
    let first = granted(reserve_units(&quotas, &profile("7"), 5));
    quotas.set_mode(Mode::Shadow);
    let large: Vec<_> =
        (0..20_000).map(|_| reserve_units(&quotas, &profile("7"), u64::MAX)).collect();
    drop(large);
    quotas.set_mode(Mode::Enforce);
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 5));
    denied(reserve(&quotas, &profile("7")));
    first.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (5, 0));
}

proptest! {
    /// A request is granted exactly if `used + held + units` is within the amount.
    #[test]
    fn a_request_is_granted_exactly_if_it_fits(
        amount in 0..20_u64,
        steps in prop::collection::vec((0..4_u8, 1..8_u64), 1..60),
    ) {
        let quotas = daily(&noon(), amount);
        let (mut used, mut holds) = (0, Vec::<(u64, Reservation)>::new());
        for (step, units) in steps {
            let held: u64 = holds.iter().map(|(units, _)| units).sum();
            prop_assert_eq!(used_and_held(&quotas, &profile("7")), (used, held));
            match (step, holds.is_empty()) {
                (0 | 1, _) | (_, true) => {
                    let reserved = grant(reserve_units(&quotas, &profile("7"), units));
                    prop_assert_eq!(reserved.is_some(), used + held + units <= amount);
                    holds.extend(reserved.map(|reservation| (units, reservation)));
                }
                (2, _) => {
                    let (units, reservation) = holds.remove(0);
                    reservation.commit();
                    used += units;
                }
                _ => holds.remove(0).1.release(),
            }
        }
    }
}

//! Modes, and that each request is settled in the one it was granted in.

mod plans;

use tower_quota::{Check, Limit, Mode, Plan, Quotas, Window};

use crate::support::{
    daily, denied, granted, noon, now, profile, reserve, reserve_units, spend, status,
    used_and_held,
};

const MODES: [Mode; 3] = [Mode::Enforce, Mode::Unmetered, Mode::Shadow];

/// An engine of one unit a day that starts in this mode.
fn started_in(mode: Mode) -> Quotas {
    let quotas = daily(&noon(), 1);
    quotas.set_mode(mode);
    quotas
}

#[test]
fn an_engine_enforces_unless_it_is_told_otherwise() {
    assert_eq!(daily(&noon(), 1).mode(), Mode::Enforce);
    for mode in MODES {
        let plan = Plan::new("free").feature("remix", [Limit::new(1, Window::Day)]);
        let quotas = Quotas::builder().plan(plan).mode(mode).build().unwrap();
        assert_eq!(quotas.mode(), mode);
        let clone = quotas.clone();
        for other in MODES {
            quotas.set_mode(other);
            assert_eq!(clone.mode(), other, "all clones are one engine");
        }
    }
}

#[test]
fn unmetered_neither_counts_nor_denies() {
    let quotas = started_in(Mode::Unmetered);
    for _ in 0..5 {
        let reservation = granted(reserve_units(&quotas, &profile("7"), u64::MAX));
        assert_eq!(reservation.standing().statuses().count(), 0);
        assert_eq!(reservation.standing().remaining(), None);
        reservation.commit();
    }
    granted(reserve(&quotas, &profile("7"))).commit_units(9);
    now(quotas.record(&profile("7"), "remix", 9)).unwrap();
    let check = now(quotas.check(&profile("7"), "remix", 9)).unwrap();
    assert!(matches!(check, Check::Allowed(_)));
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
}

#[test]
fn an_unlimited_profile_is_neither_counted_nor_denied() {
    let quotas = daily(&noon(), 0);
    let owner = profile("1").unlimited(true);
    for _ in 0..5 {
        granted(reserve_units(&quotas, &owner, u64::MAX)).commit();
    }
    granted(reserve(&quotas, &owner)).commit_units(9);
    now(quotas.record(&owner, "remix", 9)).unwrap();
    let check = now(quotas.check(&owner, "remix", 9)).unwrap();
    assert!(matches!(check, Check::Allowed(_)));
    assert_eq!(used_and_held(&quotas, &owner), (0, 0));
    assert!(now(quotas.usage(&owner)).unwrap().is_unlimited());
    assert!(!now(quotas.usage(&profile("1"))).unwrap().is_unlimited());
}

#[test]
fn an_operators_debit_counts_whatever_mode_and_profile_say() {
    let quotas = started_in(Mode::Unmetered);
    let owner = profile("1").unlimited(true);
    now(quotas.debit(&owner, "remix", 3)).unwrap();
    now(quotas.credit(&owner, "remix", 1)).unwrap();
    assert_eq!(used_and_held(&quotas, &owner), (2, 0));
}

#[test]
fn shadow_counts_and_never_denies() {
    let quotas = started_in(Mode::Shadow);
    for _ in 0..3 {
        spend(&quotas, &profile("7"), 1);
    }
    let held = granted(reserve(&quotas, &profile("7")));
    let check = now(quotas.check(&profile("7"), "remix", 9)).unwrap();
    assert!(matches!(check, Check::Allowed(_)));
    let status = status(&quotas, &profile("7"), "remix");
    assert_eq!((status.used(), status.held(), status.remaining()), (3, 1, 0));
    assert_eq!(held.standing().remaining(), Some(0));
    drop(held);

    quotas.set_mode(Mode::Enforce);
    denied(reserve(&quotas, &profile("7")));
    assert_eq!(used_and_held(&quotas, &profile("7")), (3, 0));
}

/// D11: what was held is settled, whatever the mode has become.
#[test]
fn a_hold_is_settled_in_every_mode_that_follows() {
    for before in [Mode::Enforce, Mode::Shadow] {
        for after in MODES {
            let quotas = started_in(before);
            let reservation = granted(reserve(&quotas, &profile("7")));
            quotas.set_mode(after);
            reservation.commit();
            assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0), "{before:?} {after:?}");

            now(quotas.reset(&profile("7"), "remix")).unwrap();
            quotas.set_mode(before);
            let reservation = granted(reserve(&quotas, &profile("7")));
            quotas.set_mode(after);
            drop(reservation);
            assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0), "{before:?} {after:?}");
        }
    }
}

/// D11: what was not held refunds nobody else's use, and is not charged either.
#[test]
fn what_was_not_held_settles_nothing_in_the_mode_that_follows() {
    for after in [Mode::Enforce, Mode::Shadow] {
        let quotas = started_in(Mode::Unmetered);
        let [dropped, committed, charged] =
            [0; 3].map(|_| granted(reserve(&quotas, &profile("7"))));
        quotas.set_mode(after);
        spend(&quotas, &profile("7"), 1);
        drop(dropped);
        committed.commit();
        charged.commit_units(5);
        assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0), "{after:?}");
    }
}

/// D11, for a profile that becomes unlimited or ceases to be.
#[test]
fn unlimited_changed_midflight_settles_as_it_was_granted() {
    let quotas = daily(&noon(), 2);
    let (plain, unlimited) = (profile("7"), profile("7").unlimited(true));
    let held = granted(reserve(&quotas, &plain));
    let free = granted(reserve(&quotas, &unlimited));
    held.commit();
    assert_eq!(used_and_held(&quotas, &unlimited), (1, 0));
    drop(free);
    assert_eq!(used_and_held(&quotas, &plain), (1, 0));
    granted(reserve(&quotas, &unlimited)).commit();
    assert_eq!(used_and_held(&quotas, &plain), (1, 0));
}

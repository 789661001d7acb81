//! Modes, plans and profiles that change while requests are in flight.

use std::time::Duration;

use tower_quota::{Check, ConfigError, Limit, MAX_UNITS, Mode, Plan, Profile, Quotas, Window};

use crate::support::{
    daily, denied, granted, noon, now, profile, remix, reserve, reserve_units, spend, status,
    used_and_held,
};

const MODES: [Mode; 3] = [Mode::Enforce, Mode::Unmetered, Mode::Shadow];

/// An engine of one unit a day that starts in this mode.
fn started_in(mode: Mode) -> Quotas {
    let quotas = daily(&noon(), 1);
    quotas.set_mode(mode);
    quotas
}

fn set_amount(quotas: &Quotas, amount: u64) {
    let limits = [("remix", [Limit::new(amount, Window::Day)])];
    quotas.set_limits("free", limits).unwrap();
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

#[test]
fn a_raised_limit_applies_at_once_and_keeps_what_was_used() {
    let quotas = daily(&noon(), 1);
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
    set_amount(&quotas, 3);
    let held = granted(reserve_units(&quotas, &profile("7"), 2));
    denied(reserve(&quotas, &profile("7")));
    held.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (3, 0));
}

/// D12: `used` above the limit is shown as it is, and nothing remains.
#[test]
fn a_limit_lowered_below_what_is_used_leaves_nothing() {
    let quotas = daily(&noon(), 5);
    spend(&quotas, &profile("7"), 3);
    let held = granted(reserve_units(&quotas, &profile("7"), 2));
    set_amount(&quotas, 2);
    let denial = denied(reserve(&quotas, &profile("7")));
    let now = denial.status().unwrap();
    assert_eq!((now.amount(), now.used(), now.held(), now.remaining()), (2, 3, 2, 0));
    held.commit();
    let now = status(&quotas, &profile("7"), "remix");
    assert_eq!((now.amount(), now.used(), now.held(), now.remaining()), (2, 5, 0, 0));
    set_amount(&quotas, 6);
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn a_limit_of_another_window_counts_anew_and_the_old_one_is_found_again() {
    let quotas = daily(&noon(), 2);
    spend(&quotas, &profile("7"), 1);
    let held = granted(reserve(&quotas, &profile("7")));
    quotas.set_limits("free", [("remix", [Limit::new(9, Window::Hour)])]).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
    held.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
    set_amount(&quotas, 2);
    assert_eq!(used_and_held(&quotas, &profile("7")), (2, 0));
}

#[test]
fn a_profile_that_changes_its_plan_keeps_what_it_used() {
    let plans = [("free", 1), ("pro", 3)]
        .map(|(name, amount)| Plan::new(name).feature("remix", [Limit::new(amount, Window::Day)]));
    let [free, pro] = plans;
    let quotas = Quotas::builder().plan(free).plan(pro).clock(noon()).build().unwrap();
    let (before, after) = (Profile::new("7", "free"), Profile::new("7", "pro"));
    let held = granted(reserve(&quotas, &before));
    denied(reserve(&quotas, &before));
    spend(&quotas, &after, 2);
    held.release();
    assert_eq!(used_and_held(&quotas, &after), (2, 0));
    denied(reserve(&quotas, &before));
    spend(&quotas, &after, 1);
}

#[test]
fn replaced_plans_keep_what_was_used_and_settle_what_is_held() {
    let quotas = daily(&noon(), 2);
    spend(&quotas, &profile("7"), 1);
    let held = granted(reserve(&quotas, &profile("7")));
    let chat = Plan::new("new").feature("chat", [Limit::new(1, Window::Day)]);
    quotas.set_plans([chat]).unwrap();
    assert!(now(quotas.reserve(&profile("7"), "remix", 1)).is_err());
    held.commit();
    let again = Plan::new("free").feature("remix", [Limit::new(3, Window::Day)]);
    quotas.set_plans([again.clone()]).unwrap();
    assert_eq!(quotas.plans(), [again]);
    assert_eq!(used_and_held(&quotas, &profile("7")), (2, 0));
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn bad_plans_and_limits_change_nothing() {
    let quotas = daily(&noon(), 1);
    let plans = quotas.plans();
    let good = || Plan::new("other").feature("chat", [Limit::new(1, Window::Day)]);
    let bad = || Plan::new("bad name").feature("remix", [Limit::new(1, Window::Day)]);
    quotas.set_plans([]).unwrap_err();
    quotas.set_plans([good(), bad()]).unwrap_err();

    let [fine, too_large] = [9, MAX_UNITS + 1].map(|amount| [Limit::new(amount, Window::Day)]);
    let zero = [Limit::new(9, Window::Fixed(Duration::ZERO))];
    quotas.set_limits("free", [("remix", too_large)]).unwrap_err();
    quotas.set_limits("free", [("remix", zero)]).unwrap_err();
    quotas.set_limits("free", [("remix", Vec::new())]).unwrap_err();
    quotas.set_limits("free", [("remix", fine.clone()), ("chat", fine.clone())]).unwrap_err();
    let unknown = quotas.set_limits("gold", [("remix", fine)]).unwrap_err();
    assert_eq!(unknown, ConfigError::UnknownPlan { plan: "gold".to_owned() });

    assert_eq!(quotas.plans(), plans);
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn limits_of_several_features_change_together() {
    let day = |amount| [Limit::new(amount, Window::Day)];
    let plan = Plan::new("free").feature("remix", day(1)).feature("tips", day(2));
    let quotas = Quotas::builder().plan(plan).clock(noon()).build().unwrap();
    quotas.set_limits("free", [("tips", day(5)), ("remix", day(7))]).unwrap();
    let amounts = ["remix", "tips"].map(|it| status(&quotas, &profile("7"), it).amount());
    assert_eq!(amounts, [7, 5]);
}

#[test]
fn a_profiles_own_limits_replace_its_plans_and_keep_what_was_used() {
    let quotas = daily(&noon(), 1);
    spend(&quotas, &profile("7"), 1);
    let own = |amount| profile("7").limits("remix", [Limit::new(amount, Window::Day)]).unwrap();
    spend(&quotas, &own(3), 2);
    denied(reserve(&quotas, &own(3)));
    assert_eq!(status(&quotas, &own(3), "remix").amount(), 3);
    assert_eq!(status(&quotas, &profile("7"), "remix").remaining(), 0);
    // The last word counts.
    let twice = own(3).limits("remix", [Limit::new(4, Window::Day)]).unwrap();
    spend(&quotas, &twice, 1);
    denied(reserve(&quotas, &own(0)));
    let bad = profile("7").limits("remix", [Limit::new(MAX_UNITS + 1, Window::Day)]);
    assert!(matches!(bad, Err(ConfigError::AmountTooLarge { .. })));
}

#[test]
fn a_feature_that_only_other_plans_have_is_denied_for_good() {
    let day = |feature| Plan::new(feature).feature(feature, [Limit::new(1, Window::Day)]);
    let quotas = Quotas::builder().plan(day("chat")).plan(day("remix")).build().unwrap();
    let chatter = Profile::new("7", "chat");
    for units in [1, 5] {
        let denial = denied(reserve_units(&quotas, &chatter, units));
        assert_eq!((denial.retry_after(), denial.resets_at()), (None, None));
        assert_eq!(denial.status().unwrap().amount(), 0);
    }
    // Unless the profile is given some.
    let own = chatter.limits("remix", [Limit::new(1, Window::Day)]).unwrap();
    spend(&quotas, &own, 1);
    denied(reserve(&quotas, &own));
}

#[test]
fn a_limit_of_zero_denies_at_once() {
    let quotas = remix(&noon(), [Limit::new(0, Window::Day)]);
    let denial = denied(reserve(&quotas, &profile("7")));
    assert_eq!(denial.retry_after(), None);
    assert_eq!(denial.status().unwrap().remaining(), 0);
}

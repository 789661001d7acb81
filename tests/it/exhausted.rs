//! A store that remembers what another one has denied.

mod under_way;

use std::time::Duration;

use tower_quota::store::{ExhaustedCache, Store};
use tower_quota::{Limit, ManualClock, Mode, Plan, Profile, Quotas, QuotasBuilder, Scope, Window};

use crate::support::{
    SharedBooks, at, denied, granted, noon, now, profile, reserve, reserve_units, spend,
};

fn engine(
    store: impl Store,
    clock: &ManualClock,
    limits: impl IntoIterator<Item = Limit>,
) -> Quotas {
    let plan = Plan::new("free").feature("remix", limits);
    let builder = Quotas::builder().plan(plan).clock(clock.clone());
    builder.store(ExhaustedCache::new(store)).build().unwrap()
}

/// An engine that grants `amount` units a day, and the books behind its cache.
fn cached(clock: &ManualClock, amount: u64) -> (Quotas, SharedBooks) {
    let books = SharedBooks::default();
    (engine(books.clone(), clock, [Limit::new(amount, Window::Day)]), books)
}

#[test]
fn a_flood_of_denied_requests_asks_the_store_once() {
    let (quotas, books) = cached(&noon(), 1);
    let payer = profile("7");
    spend(&quotas, &payer, 1);
    for _ in 0..1_000 {
        let denial = denied(reserve(&quotas, &payer));
        let status = denial.status().unwrap();
        assert_eq!((status.used(), status.remaining()), (1, 0));
    }
    assert_eq!(books.reserves(), 2);
}

#[test]
fn others_are_not_denied_with_it() {
    let (quotas, _) = cached(&noon(), 1);
    spend(&quotas, &profile("7"), 1);
    let _ = denied(reserve(&quotas, &profile("7")));
    granted(reserve(&quotas, &profile("8"))).commit();
}

#[test]
fn a_denial_is_remembered_for_a_second() {
    let clock = noon();
    let (quotas, books) = cached(&clock, 1);
    let payer = profile("7");
    spend(&quotas, &payer, 1);
    let _ = denied(reserve(&quotas, &payer));
    clock.advance(Duration::from_millis(999));
    let _ = denied(reserve(&quotas, &payer));
    assert_eq!(books.reserves(), 2);
    clock.advance(Duration::from_millis(1));
    let _ = denied(reserve(&quotas, &payer));
    assert_eq!(books.reserves(), 3);
}

#[test]
fn a_denial_is_not_remembered_from_a_clock_that_was_ahead() {
    let clock = noon();
    let (quotas, books) = cached(&clock, 1);
    spend(&quotas, &profile("7"), 1);
    let _ = denied(reserve(&quotas, &profile("7")));
    clock.set(at("2026-11-24T11:59:59Z"));
    let _ = denied(reserve(&quotas, &profile("7")));
    assert_eq!(books.reserves(), 3);
}

/// Its units come back in steps of 10 ms, long before a denial is forgotten.
#[test]
fn what_comes_back_to_a_rolling_window_is_granted_at_once() {
    let clock = noon();
    let rolling = Window::Rolling(Duration::from_millis(600));
    let quotas = engine(SharedBooks::default(), &clock, [Limit::new(1, rolling)]);
    let payer = profile("7");
    spend(&quotas, &payer, 1);
    let denial = denied(reserve(&quotas, &payer));
    clock.set(denial.resets_at().unwrap());
    granted(reserve(&quotas, &payer)).commit();
}

/// Whether the store says it or the memory: when the units fit of a limit that has no room for them,
/// and when the first unit comes back to one that has, whatever was denied before.
#[test]
fn each_denial_says_when_its_own_units_fit() {
    let clock = noon();
    let limits = || {
        let rolling = Limit::new(8, Window::Rolling(Duration::from_secs(3_600)));
        [rolling.named("rolling"), Limit::new(6, Window::Day).named("daily")]
    };
    let books = SharedBooks::default();
    let (quotas, store) = (engine(books.clone(), &clock, limits()), books.remix(&clock, limits()));
    let payer = profile("7");
    spend(&quotas, &payer, 1);
    clock.advance(Duration::from_secs(600));
    spend(&quotas, &payer, 5);
    for units in [4, 1, 2, 3, 1, 7, 9, 2] {
        let denial = denied(reserve_units(&quotas, &payer, units));
        let told = denied(reserve_units(&store, &payer, units));
        let [denial, told] = [denial, told].map(|it| it.standing().statuses().collect::<Vec<_>>());
        assert_eq!(denial, told, "of {units} units");
    }
}

#[test]
fn what_is_merely_held_is_no_reason_to_deny_from_memory() {
    let (quotas, _) = cached(&noon(), 1);
    let payer = profile("7");
    let held = granted(reserve(&quotas, &payer));
    let _ = denied(reserve(&quotas, &payer));
    held.release();
    granted(reserve(&quotas, &payer)).commit();
}

#[test]
fn a_smaller_request_gets_an_answer_of_its_own() {
    let (quotas, _) = cached(&noon(), 5);
    let payer = profile("7");
    spend(&quotas, &payer, 4);
    let _ = denied(reserve_units(&quotas, &payer, 2));
    granted(reserve_units(&quotas, &payer, 1)).commit();
}

#[test]
fn a_raised_limit_applies_at_once() {
    let (quotas, _) = cached(&noon(), 1);
    let payer = profile("7");
    spend(&quotas, &payer, 1);
    let _ = denied(reserve(&quotas, &payer));
    quotas.set_limits("free", [("remix", [Limit::new(2, Window::Day)])]).unwrap();
    granted(reserve(&quotas, &payer)).commit();
}

#[test]
fn a_credit_and_a_reset_apply_at_once() {
    let (quotas, _) = cached(&noon(), 1);
    let payer = profile("7");
    spend(&quotas, &payer, 1);
    let _ = denied(reserve(&quotas, &payer));
    now(quotas.credit(&payer, "remix", 1)).unwrap();
    granted(reserve(&quotas, &payer)).commit();
    let _ = denied(reserve(&quotas, &payer));
    now(quotas.reset(&payer, "remix")).unwrap();
    granted(reserve(&quotas, &payer)).commit();
}

#[test]
fn another_process_s_credit_is_seen_a_second_later() {
    let clock = noon();
    let (quotas, books) = cached(&clock, 1);
    let other = books.remix(&clock, [Limit::new(1, Window::Day)]);
    let payer = profile("7");
    spend(&quotas, &payer, 1);
    let _ = denied(reserve(&quotas, &payer));
    now(other.credit(&payer, "remix", 1)).unwrap();
    let _ = denied(reserve(&quotas, &payer));
    clock.advance(Duration::from_secs(1));
    granted(reserve(&quotas, &payer)).commit();
}

#[test]
fn the_next_window_is_open() {
    let clock = noon();
    let quotas = engine(SharedBooks::default(), &clock, [Limit::new(1, Window::Second)]);
    let payer = profile("7");
    clock.advance(Duration::from_millis(999));
    spend(&quotas, &payer, 1);
    let _ = denied(reserve(&quotas, &payer));
    clock.advance(Duration::from_millis(1));
    granted(reserve(&quotas, &payer)).commit();
}

#[test]
fn of_several_limits_the_denial_tells_all() {
    let books = SharedBooks::default();
    let limits = [Limit::new(1, Window::Minute), Limit::new(9, Window::Day)];
    let quotas = engine(books.clone(), &noon(), limits);
    spend(&quotas, &profile("7"), 1);
    for _ in 0..2 {
        let denial = denied(reserve(&quotas, &profile("7")));
        let remaining: Vec<u64> =
            denial.standing().statuses().map(|status| status.remaining()).collect();
        assert_eq!(remaining, [0, 8]);
    }
    assert_eq!(books.reserves(), 2);
}

#[test]
fn shadow_mode_never_denies_from_memory() {
    let (quotas, _) = cached(&noon(), 1);
    let payer = profile("7");
    spend(&quotas, &payer, 1);
    let _ = denied(reserve(&quotas, &payer));
    quotas.set_mode(Mode::Shadow);
    granted(reserve(&quotas, &payer)).commit();
}

/// A count that two plans share by different amounts may be full for one of them alone.
#[test]
fn a_denial_of_one_plan_says_nothing_of_when_another_fits() {
    let clock = noon();
    let shared = |amount| {
        let limit = Limit::new(amount, Window::Rolling(Duration::from_secs(3_600)));
        limit.scope(Scope::Everyone).named("all")
    };
    let plan = |name, all, daily| {
        let daily = Limit::new(daily, Window::Day).named("daily");
        Plan::new(name).feature("remix", [shared(all), daily])
    };
    let books = SharedBooks::default();
    let builder = || {
        let plans = [plan("free", 6, 50), plan("pro", 100, 2)];
        plans.into_iter().fold(Quotas::builder().clock(clock.clone()), QuotasBuilder::plan)
    };
    let cached = builder().store(ExhaustedCache::new(books.clone())).build().unwrap();
    let direct = builder().store(books.clone()).build().unwrap();
    let (free, pro) = (Profile::new("f", "free"), Profile::new("p", "pro"));
    spend(&cached, &pro, 2);
    clock.advance(Duration::from_secs(600));
    spend(&cached, &free, 4);
    let _ = denied(reserve_units(&cached, &pro, 4));
    let _ = denied(reserve_units(&cached, &free, 4));
    let [of_cache, of_books] = [&cached, &direct].map(|quotas| {
        let denial = denied(reserve_units(quotas, &pro, 4));
        denial.standing().statuses().collect::<Vec<_>>()
    });
    assert_eq!(of_cache, of_books);
}

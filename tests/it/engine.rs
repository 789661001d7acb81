//! The engine's verbs, and that none of them needs a runtime.

mod refusals;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tower_quota::store::Answer;
use tower_quota::{
    Check, Decision, Denial, Error, Limit, ManualClock, MemoryStore, Plan, Profile, Quotas,
    QuotasBuilder, Reservation, Standing, Status, Usage, Window,
};

use crate::support::{
    SharedBooks, at, daily, denied, granted, noon, now, profile, remix, reserve, reserve_units,
    spend, status, used_and_held,
};

fn check(quotas: &Quotas, units: u64) -> Check {
    now(quotas.check(&profile("7"), "remix", units)).unwrap()
}

#[test]
fn types_can_be_shared_and_shown() {
    fn shared<T: Send + Sync + Debug + 'static>() {}
    fn cloned<T: Clone + Send + Sync + Debug + 'static>() {}
    cloned::<Quotas>();
    cloned::<Denial>();
    cloned::<Standing>();
    cloned::<Status>();
    cloned::<Usage>();
    cloned::<Check>();
    cloned::<Profile>();
    shared::<Reservation>();
    shared::<Decision>();
    shared::<QuotasBuilder>();
    shared::<MemoryStore>();
    shared::<Error>();
}

#[test]
fn clones_are_one_engine() {
    let quotas = daily(&noon(), 1);
    let clone = quotas.clone();
    spend(&quotas, &profile("7"), 1);
    denied(reserve(&clone, &profile("7")));
}

/// These tests run outside of a runtime, and no answer is a future.
#[test]
fn every_answer_of_the_memory_store_is_there_at_once() {
    let quotas = daily(&noon(), 9);
    let payer = profile("7");
    assert!(matches!(quotas.reserve(&payer, "remix", 1), Answer::Ready(Ok(_))));
    assert!(matches!(quotas.check(&payer, "remix", 1), Answer::Ready(Ok(_))));
    assert!(matches!(quotas.record(&payer, "remix", 1), Answer::Ready(Ok(()))));
    assert!(matches!(quotas.debit(&payer, "remix", 1), Answer::Ready(Ok(()))));
    assert!(matches!(quotas.credit(&payer, "remix", 1), Answer::Ready(Ok(()))));
    assert!(matches!(quotas.reset(&payer, "remix"), Answer::Ready(Ok(()))));
    assert!(matches!(quotas.usage(&payer), Answer::Ready(Ok(_))));
    assert!(matches!(quotas.flush(), Answer::Ready(Ok(()))));
    assert!(matches!(quotas.shutdown(), Answer::Ready(Ok(()))));
}

#[test]
fn settlements_are_in_the_books_when_flush_and_shutdown_answer() {
    let quotas = daily(&noon(), 9);
    let held = granted(reserve(&quotas, &profile("7")));
    spend(&quotas, &profile("7"), 1);
    now(quotas.flush()).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 1));
    now(quotas.shutdown()).unwrap();
    held.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (2, 0));
}

#[test]
fn check_agrees_with_reserve_and_writes_nothing() {
    let books = SharedBooks::default();
    let quotas = books.remix(&noon(), [Limit::new(3, Window::Day), Limit::new(5, Window::Month)]);
    for units in [0, 1, 2, 3, 4, u64::MAX] {
        for used in 0..4 {
            now(quotas.reset(&profile("7"), "remix")).unwrap();
            now(quotas.debit(&profile("7"), "remix", used)).unwrap();
            let before = books.written();
            let checked = matches!(check(&quotas, units), Check::Allowed(_));
            assert_eq!(books.written(), before);
            let reserved =
                matches!(reserve_units(&quotas, &profile("7"), units), Decision::Granted(_));
            assert_eq!(checked, reserved, "{units} more than {used}");
        }
    }
}

#[test]
fn check_tells_what_is_left_or_what_trips() {
    let quotas = daily(&noon(), 3);
    spend(&quotas, &profile("7"), 1);
    let Check::Allowed(standing) = check(&quotas, 2) else { panic!("two fit") };
    assert_eq!((standing.feature(), standing.remaining()), ("remix", Some(2)));
    let Check::Denied(denial) = check(&quotas, 3) else { panic!("three do not fit") };
    assert_eq!((denial.feature(), denial.units()), ("remix", 3));
    assert_eq!(denial.status().unwrap().used(), 1);
}

#[test]
fn record_charges_beyond_the_limit_and_it_shows() {
    let quotas = daily(&noon(), 2);
    now(quotas.record(&profile("7"), "remix", 5)).unwrap();
    let status = status(&quotas, &profile("7"), "remix");
    assert_eq!((status.used(), status.remaining()), (5, 0));
    denied(reserve(&quotas, &profile("7")));
}

#[test]
fn usage_shows_every_feature_from_the_start() {
    let books = SharedBooks::default();
    let free = Plan::new("free")
        .feature("remix", [Limit::new(1, Window::Day)])
        .feature("chat", [Limit::new(5, Window::Minute), Limit::new(9, Window::Lifetime)]);
    let pro = Plan::new("pro").feature("tips", [Limit::new(2, Window::Day)]);
    let builder = Quotas::builder().plan(free).plan(pro).clock(noon()).store(books.clone());
    let quotas = builder.build().unwrap();
    let before = books.written();
    let usage = now(quotas.usage(&profile("7"))).unwrap();
    assert_eq!(books.written(), before);
    assert!(usage.feature("unheard-of").is_none());
    assert_eq!(
        usage.standings().map(Standing::feature).collect::<Vec<_>>(),
        ["remix", "chat", "tips"]
    );

    let rows: Vec<_> = usage.standings().flat_map(Standing::statuses).collect();
    assert!(rows.iter().all(|row| row.used() == 0 && row.held() == 0));
    assert!(rows.iter().all(|row| row.remaining() == row.amount()));
    assert_eq!(rows.iter().map(Status::amount).collect::<Vec<_>>(), [1, 5, 9, 0]);
    let (midnight, minute) = (at("2026-11-25T00:00:00Z"), at("2026-11-24T12:01:00Z"));
    let ends: Vec<_> = rows.iter().map(Status::resets_at).collect();
    assert_eq!(ends, [Some(midnight), Some(minute), None, None]);
    let lengths: Vec<_> = rows.iter().map(Status::window_seconds).collect();
    assert_eq!(lengths, [Some(86_400), Some(60), None, None]);
}

#[test]
fn operators_reset_credit_and_debit() {
    let quotas = daily(&noon(), 5);
    let held = granted(reserve(&quotas, &profile("7")));
    now(quotas.debit(&profile("7"), "remix", 9)).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (9, 1));
    now(quotas.credit(&profile("7"), "remix", 2)).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (7, 1));
    now(quotas.reset(&profile("7"), "remix")).unwrap();
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 1));
    held.commit();
    assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
    assert_eq!(used_and_held(&quotas, &profile("8")), (0, 0));
}

#[test]
fn no_units_are_granted_always_and_recorded_never() {
    let books = SharedBooks::default();
    let quotas = books.remix(&noon(), [Limit::new(0, Window::Day)]);
    let empty = books.written();
    granted(reserve_units(&quotas, &profile("7"), 0)).commit();
    granted(reserve_units(&quotas, &profile("7"), 0)).commit_units(5);
    assert!(matches!(check(&quotas, 0), Check::Allowed(_)));
    assert_eq!(books.written(), empty);
    now(quotas.debit(&profile("7"), "remix", 3)).unwrap();
    let none = granted(reserve_units(&quotas, &profile("7"), 0));
    assert_eq!(none.standing().statuses().next().unwrap().used(), 3);
}

#[test]
fn a_reservation_spends_what_it_is_told_to() {
    for (spent, used) in [(0, 0), (1, 1), (3, 3), (4, 4), (9, 9)] {
        let quotas = daily(&noon(), 5);
        let reservation = granted(reserve_units(&quotas, &profile("7"), 3));
        assert_eq!(reservation.units(), 3);
        assert_eq!(reservation.standing().remaining(), Some(2));
        reservation.commit_units(spent);
        assert_eq!(used_and_held(&quotas, &profile("7")), (used, 0));
    }
}

#[test]
fn dropping_a_reservation_releases_it() {
    let quotas = daily(&noon(), 1);
    drop(granted(reserve(&quotas, &profile("7"))));
    drop(reserve(&quotas, &profile("7")));
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
}

#[test]
fn a_panic_releases_what_it_unwinds() {
    let quotas = daily(&noon(), 1);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _held = granted(reserve(&quotas, &profile("7")));
        assert_eq!(used_and_held(&quotas, &profile("7")), (0, 1));
        std::panic::resume_unwind(Box::new("the handler failed"));
    }));
    unwound.unwrap_err();
    assert_eq!(used_and_held(&quotas, &profile("7")), (0, 0));
    spend(&quotas, &profile("7"), 1);
}

#[test]
fn a_reservation_outlives_its_engine() {
    let books = SharedBooks::default();
    let engine = || books.remix(&noon(), [Limit::new(1, Window::Day)]);
    let reservation = granted(reserve(&engine(), &profile("7")));
    reservation.commit();
    assert_eq!(used_and_held(&engine(), &profile("7")), (1, 0));
}

#[test]
fn retry_after_is_rounded_up_to_whole_seconds() {
    let waits =
        [(1, 1), (999, 1), (1_000, 1), (1_001, 2), (1_999, 2), (2_000, 2), (86_399_999, 86_400)];
    for (millis, seconds) in waits {
        let clock = ManualClock::at(at("2026-11-25T00:00:00Z") - Duration::from_millis(millis));
        let quotas = daily(&clock, 1);
        spend(&quotas, &profile("7"), 1);
        let denial = denied(reserve(&quotas, &profile("7")));
        assert_eq!(denial.retry_after(), Some(seconds), "{millis} ms");
        let status = denial.status().unwrap();
        assert_eq!(status.seconds_until_reset(), Some(seconds), "{millis} ms");
    }
}

#[test]
fn there_is_nothing_to_wait_for_where_waiting_does_not_help() {
    let trial = remix(&noon(), [Limit::new(1, Window::Lifetime)]);
    spend(&trial, &profile("7"), 1);
    let denial = denied(reserve(&trial, &profile("7")));
    assert_eq!((denial.retry_after(), denial.resets_at()), (None, None));
    assert_eq!(denied(reserve_units(&daily(&noon(), 3), &profile("7"), 4)).retry_after(), None);
    assert_eq!(denied(reserve(&daily(&noon(), 0), &profile("7"))).retry_after(), None);
}

#[test]
fn a_denial_tells_used_held_and_remaining_apart() {
    let quotas = daily(&noon(), 10);
    spend(&quotas, &profile("7"), 4);
    let _held = granted(reserve_units(&quotas, &profile("7"), 3));
    let denial = denied(reserve_units(&quotas, &profile("7"), 5));
    assert_eq!((denial.feature(), denial.units()), ("remix", 5));
    let status = denial.status().unwrap();
    assert_eq!((status.limit(), status.amount()), ("day", 10));
    assert_eq!((status.used(), status.held(), status.remaining()), (4, 3, 3));
    assert_eq!(status.resets_at(), Some(at("2026-11-25T00:00:00Z")));
    assert_eq!(denial.resets_at(), status.resets_at());
}

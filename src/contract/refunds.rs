//! Refunds: past a cap, what fails is charged.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Subject;
use super::payer::{FEATURE, Payer, shortly_before_the_end};
use crate::clock::Clock;
use crate::limits::{Limit, Plan, Scope, Window};
use crate::reservation::Reservation;
use crate::store::Store;

/// So many units a day, of which so many are refunded.
fn daily(amount: u64, cap: u64) -> Limit {
    Limit::new(amount, Window::Day).max_refunds(cap)
}

/// Failures up to the cap cost nothing, and each one past it what it had reserved; a smaller one that
/// fits is refunded all the same.
pub async fn refunds_come_back_up_to_the_cap<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, [daily(20, 5)]).await;
    for (units, used) in [(2, 0), (2, 0), (3, 3), (1, 3), (1, 4), (2, 6)] {
        payer.fail(units).await;
        assert_eq!(payer.count().await, (used, 0), "(used, held) after a refund of {units}");
    }
    // Once it is refused, the count is what was charged, and no more.
    payer.spend(14).await;
    payer.deny(1).await;
    let percent = Limit::new(11, Window::Day).max_refund_percent(30);
    let payer = Payer::new(subject, [percent]).await.named("a share");
    for used in [0, 0, 0, 1, 2] {
        payer.fail(1).await;
        assert_eq!(payer.count().await, (used, 0), "(used, held) where 3 of 11 come back");
    }
    let payer = Payer::new(subject, [daily(20, 0)]).await.named("none");
    payer.fail(1).await;
    assert_eq!(payer.count().await, (1, 0), "(used, held) where nothing comes back");
    let payer = Payer::daily(subject, 20).await.named("all");
    for _ in 0..10 {
        payer.fail(7).await;
    }
    assert_eq!(payer.count().await, (0, 0), "(used, held) without a cap");
}

/// Reserves with each payer in turn, and has all refunded at once.
async fn race(payers: &[&Payer], units: u64) {
    const TASKS: usize = 32;
    let start = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for payer in payers.iter().cycle().take(TASKS) {
        let (reservation, start) = (payer.grant(units).await, start.clone());
        tasks.spawn(async move {
            start.wait().await;
            reservation.refund();
        });
    }
    tasks.join_all().await;
    for payer in payers {
        payer.flush().await;
    }
}

/// Of failures at once exactly as much as the cap comes back.
pub async fn tasks_are_refunded_exactly_the_cap<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, [daily(100, 20)]).await;
    race(&[&payer], 3).await;
    assert_eq!(payer.count().await, (96 - 18, 0), "(used, held) when 18 of 20 have come back");
}

/// Also where they reach the books through two handles.
pub async fn two_handles_are_refunded_exactly_the_cap<S: Subject<Books: Store>>(subject: &S) {
    let limits = || {
        let app = Limit::new(100, Window::Day).named("app").scope(Scope::Everyone);
        [daily(100, 50), app.max_refunds(13)]
    };
    let (one, other) = (Payer::new(subject, limits()).await, Payer::new(subject, limits()).await);
    race(&[&one, &other], 1).await;
    assert_eq!(one.counts().await, [(32 - 13, 0); 2], "(used, held) when 13 have come back");
    let other = other.named("8");
    race(&[&other], 1).await;
    assert_eq!(other.counts().await, [(32, 0), (64 - 13, 0)], "of another, and of everyone");
}

/// What is released or dropped comes back however often, and leaves the cap as it is; so does what is
/// committed with no units.
pub async fn releases_and_drops_are_no_refunds<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, [daily(20, 2)]).await;
    for _ in 0..3 {
        payer.grant(5).await.release();
        drop(payer.grant(5).await);
        payer.grant(5).await.commit_units(0);
        payer.flush().await;
        assert_eq!(payer.count().await, (0, 0), "(used, held) after releases");
    }
    payer.fail(2).await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) after a refund");
    payer.fail(1).await;
    payer.grant(5).await.release();
    payer.flush().await;
    assert_eq!(payer.count().await, (1, 0), "(used, held) past the cap");
}

/// The narrowest cap decides for all limits, and what it refuses uses up no other cap.
pub async fn a_hold_is_refunded_in_all_limits_or_in_none<S: Subject<Books: Store>>(subject: &S) {
    let limits = [
        Limit::new(50, Window::Hour),
        Limit::new(50, Window::Day).max_refunds(6),
        Limit::new(50, Window::Month).named("company").scope(Scope::Tenant).max_refunds(4),
        Limit::new(3, Window::Concurrent),
    ];
    let payer = Payer::new(subject, limits).await.employed_by("8");
    payer.fail(3).await;
    assert_eq!(payer.counts().await, [(0, 0); 4], "(used, held) after a refund");
    payer.fail(2).await;
    let charged = |units| [(units, 0), (units, 0), (units, 0), (0, 0)];
    assert_eq!(
        payer.counts().await,
        charged(2),
        "(used, held) after one that the company's refused"
    );
    payer.fail(1).await;
    assert_eq!(payer.counts().await, charged(2), "(used, held) after one that all had room for");
    // Of its own 6 the payer has 2 left, for the refused ones do not count.
    let colleague = payer.named("7").employed_by("9");
    colleague.fail(2).await;
    let own: Vec<_> = colleague.counts().await.into_iter().take(2).collect();
    assert_eq!(own, [(2, 0); 2], "(used, held) of the payer in another company's service");
    colleague.fail(1).await;
    let own: Vec<_> = colleague.counts().await.into_iter().take(2).collect();
    assert_eq!(own, [(3, 0); 2], "(used, held) when its own cap is met");
}

/// Where a limit counts requests, its cap does.
pub async fn a_cap_is_counted_as_its_limit_measures<S: Subject<Books: Store>>(subject: &S) {
    let limits = [
        Limit::new(10, Window::Day).named("requests").per_request().max_refunds(2),
        Limit::new(1_000, Window::Day).named("tokens"),
    ];
    let payer = Payer::new(subject, limits).await;
    payer.fail(300).await;
    payer.fail(200).await;
    assert_eq!(payer.counts().await, [(0, 0), (0, 0)], "requests, tokens");
    payer.fail(100).await;
    assert_eq!(payer.counts().await, [(1, 0), (100, 0)], "requests, tokens past the cap");
}

/// What one profile or tenant was refunded leaves the next one's cap alone; everyone's is shared.
pub async fn each_scope_has_refunds_of_its_own<S: Subject<Books: Store>>(subject: &S) {
    let limits = [
        daily(50, 2),
        Limit::new(50, Window::Day).named("company").scope(Scope::Tenant).max_refunds(3),
        Limit::new(50, Window::Day).named("app").scope(Scope::Everyone).max_refunds(4),
    ];
    let ann = Payer::new(subject, limits).await.named("ann").employed_by("a");
    let bob = ann.named("bob").employed_by("a");
    let eve = ann.named("eve").employed_by("e");
    for (payer, refunded, by) in [
        (&ann, true, "ann's first"),
        (&ann, true, "ann's second"),
        (&ann, false, "ann's third"),
        (&bob, true, "bob's first"),
        (&bob, false, "her company's fourth"),
        (&eve, true, "eve's first"),
        (&eve, false, "everyone's fifth"),
    ] {
        let before = payer.counts().await;
        payer.fail(1).await;
        assert_eq!(payer.counts().await == before, refunded, "{by} refund");
    }
}

/// When the count starts over, so do its refunds. Nobody's feature is another's.
pub async fn a_new_window_has_refunds_again<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    shortly_before_the_end(clock, Window::Day, Duration::from_secs(5));
    let plan = Plan::new("free").feature(FEATURE, [daily(9, 1)]).feature("chat", [daily(9, 1)]);
    let payer = Payer::on_plan(subject, plan).await;
    for used in [0, 1] {
        payer.fail(1).await;
        assert_eq!(payer.count().await, (used, 0), "(used, held) on the first day");
    }
    let crate::Decision::Granted(chat) = payer.reserve_of("chat", 1).await else {
        panic!("nothing of it was used");
    };
    chat.refund();
    payer.flush().await;
    assert_eq!(payer.counts_of("chat").await, [(0, 0)], "(used, held) of another feature");
    clock.advance(Duration::from_secs(5));
    for used in [0, 1] {
        payer.fail(1).await;
        assert_eq!(payer.count().await, (used, 0), "(used, held) on the next day");
    }
}

/// What fails after midnight uses up the cap of the day before, and is charged to that day.
pub async fn a_late_refund_counts_in_the_window_that_was_charged<S: Subject<Books: Store>>(
    subject: &S,
) {
    let clock = subject.clock();
    shortly_before_the_end(clock, Window::Day, Duration::from_secs(5));
    let before = clock.now();
    let payer = Payer::new(subject, [daily(9, 2)]).await;
    let late: Vec<Reservation> = vec![payer.grant(1).await, payer.grant(2).await];
    clock.advance(Duration::from_secs(10));
    for reservation in late {
        reservation.refund();
        payer.flush().await;
    }
    assert_eq!(payer.count().await, (0, 0), "(used, held) the next day");
    payer.fail(2).await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) after the next day's refund");
    payer.fail(1).await;
    assert_eq!(payer.count().await, (1, 0), "(used, held) past the next day's cap");
    // To ask for the day before, the clock is set back a little.
    clock.set(before.into());
    assert_eq!(payer.count().await, (2, 0), "(used, held) the day before");
}

/// In no span of a rolling window's length more than the cap comes back, and after it as much again.
pub async fn refunds_in_a_rolling_window_roll_with_it<S: Subject<Books: Store>>(subject: &S) {
    const LENGTH: Duration = Duration::from_secs(30);
    const STEP: Duration = Duration::from_millis(500);
    let clock = subject.clock();
    let payer = Payer::new(subject, [Limit::new(20, Window::Rolling(LENGTH)).max_refunds(3)]).await;
    payer.fail(2).await;
    clock.advance(LENGTH / 2);
    payer.fail(1).await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) after 3 refunds");
    payer.fail(1).await;
    assert_eq!(payer.count().await, (1, 0), "(used, held) past the cap");
    clock.advance(LENGTH / 2 - STEP);
    payer.fail(1).await;
    assert_eq!(payer.count().await, (2, 0), "(used, held) shortly before the first come back");
    clock.advance(2 * STEP);
    payer.fail(2).await;
    assert_eq!(payer.count().await, (2, 0), "(used, held) when the first have come back");
    payer.fail(1).await;
    assert_eq!(payer.count().await, (3, 0), "(used, held) past the cap again");
}

/// A count of which all was refunded lasts as long as its window, however many others come and go, of
/// others and of the same profile.
pub async fn the_refunds_of_a_window_are_not_forgotten<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    shortly_before_the_end(clock, Window::Day, Duration::from_secs(3_600));
    let features = ["chat", "cook", "shop", "plan"];
    let plan = Plan::new("free").feature(FEATURE, [daily(9, 3)]);
    let add = |plan: Plan, feature| plan.feature(feature, [Limit::new(9, Window::Day)]);
    let payer = Payer::on_plan(subject, features.into_iter().fold(plan, add)).await;
    payer.fail(3).await;
    for other in 0..30 {
        payer.named(format!("other {other}")).grant(1).await.release();
    }
    for feature in features.into_iter().cycle().take(30) {
        drop(payer.reserve_of(feature, 1).await);
    }
    payer.flush().await;
    clock.advance(Duration::from_secs(3_500));
    payer.fail(1).await;
    assert_eq!(payer.count().await, (1, 0), "(used, held) an hour past the cap");
}

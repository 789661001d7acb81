//! Never negative, never forgotten: a count lasts as long as its window.

use std::time::Duration;

use super::payer::{FEATURE, Payer, shortly_before_the_end};
use super::{Subject, earlier};
use crate::clock::{Clock, ManualClock};
use crate::error::Error;
use crate::limits::{Limit, Plan, Profile, Window};
use crate::store::Store;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MILLI: Duration = Duration::from_millis(1);

/// The plan of one limit, and of a second feature that opens a counter each second.
fn ticking(limit: Limit) -> Plan {
    let tick = [Limit::new(1, Window::Second)];
    Plan::new("free").feature(FEATURE, [limit]).feature("tick", tick)
}

/// Has the payer and a few others open counters, so that books that tidy up have reason to.
async fn bustle(payer: &Payer, clock: &ManualClock) {
    for other in 0..10 {
        clock.advance(Duration::from_secs(1));
        drop(payer.reserve_of("tick", 1).await);
        payer.named(format!("other {other}")).record(1).await;
    }
    payer.flush().await;
}

/// A count is there as long as its window is open, idle or amid traffic, and then is not.
pub async fn a_count_lasts_until_its_window_ends<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    // The first day of a month.
    shortly_before_the_end(clock, Window::Month, MILLI);
    clock.advance(DAY / 2);
    let payer = Payer::on_plan(subject, ticking(Limit::new(3, Window::Month))).await;
    payer.spend(3).await;
    let end = Window::Month.around(clock.now()).end;
    while clock.now().saturating_add(DAY * 4) < end {
        clock.advance(DAY * 3);
        bustle(&payer, clock).await;
        payer.deny(1).await;
    }
    clock.set(earlier(end, MILLI).into());
    payer.deny(1).await;
    assert_eq!(payer.count().await, (3, 0), "(used, held) in the window's last millisecond");
    clock.advance(MILLI);
    assert_eq!(payer.count().await, (0, 0), "(used, held) in the next window");
    payer.spend(3).await;
}

/// A lifetime's count is there twenty years later.
pub async fn a_lifetime_is_never_over<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::on_plan(subject, ticking(Limit::new(1, Window::Lifetime))).await;
    payer.spend(1).await;
    for _ in 0..20 {
        subject.clock().advance(DAY * 365);
        bustle(&payer, subject.clock()).await;
        payer.deny(1).await;
    }
    assert_eq!(payer.count().await, (1, 0), "(used, held)");
}

/// However many others come, what is used and what is held stays.
pub async fn others_do_not_give_a_quota_back<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, 2).await;
    payer.spend(1).await;
    let held = payer.grant(1).await;
    for other in 0..500 {
        let other = payer.named(format!("other {other}"));
        other.grant(1).await.commit();
    }
    payer.flush().await;
    payer.deny(1).await;
    held.commit();
    payer.flush().await;
    assert_eq!(payer.count().await, (2, 0), "(used, held)");
}

/// A credit stops at 0, and saves nothing up.
pub async fn a_count_is_never_below_zero<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, 2).await;
    payer.credit(5).await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) after a credit to an unused count");
    payer.spend(1).await;
    let held = payer.grant(1).await;
    payer.credit(u64::MAX).await;
    assert_eq!(payer.count().await, (0, 1), "(used, held) after a credit of more than was used");
    held.release();
    payer.flush().await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) after the release");
    payer.spend(2).await;
    payer.deny(1).await;
}

/// Another amount or another plan is another bound of the same count.
pub async fn changed_limits_keep_what_was_used<S: Subject<Books: Store>>(subject: &S) {
    let daily = |amount| [Limit::new(amount, Window::Day)];
    let pro = Plan::new("pro").feature(FEATURE, daily(7));
    let payer = Payer::daily(subject, 5).await;
    payer.spend(3).await;
    let held = payer.grant(2).await;
    for amount in [6, 4, 0, 9] {
        let changed = payer.quotas.set_limits("free", [(FEATURE, daily(amount))]);
        changed.expect("the law's limits are bad");
        assert_eq!(payer.count().await, (3, 2), "(used, held) with an amount of {amount}");
        payer.deny(amount.saturating_sub(5) + 1).await;
    }
    let plans = payer.quotas.plans().into_iter().chain([pro]);
    payer.quotas.set_plans(plans).expect("the law's plan is bad");
    let on_pro = Profile::new(payer.profile().id().as_bytes(), "pro");
    let usage = payer.quotas.usage(&on_pro).await.expect("the store failed to read");
    let standing = usage.feature(FEATURE).expect("the law's feature is missing");
    assert_eq!(standing.remaining(), Some(2), "units left on the other plan");
    held.commit();
    payer.flush().await;
    assert_eq!(payer.count().await, (5, 0), "(used, held) after the commit");
}

/// An engine whose clock lags, in a window that is over, finds what was counted there, or an error:
/// not a count that starts anew.
pub async fn a_forgotten_window_is_never_counted_afresh<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    shortly_before_the_end(clock, Window::Day, DAY / 2);
    let lagging = ManualClock::at(clock.now().into());
    let plan = || ticking(Limit::new(1, Window::Day));
    let payer = Payer::on_plan(subject, plan()).await;
    payer.spend(1).await;
    clock.advance(DAY);
    for _ in 0..20 {
        bustle(&payer, clock).await;
    }
    let late = Payer::by_clock(subject, plan(), lagging).await;
    match late.quotas.reserve(late.profile(), FEATURE, 1).await {
        Err(Error::Store(error)) => {
            assert!(error.is_transient(), "it passes when the clock is right: {error:?}");
        }
        Err(error) => panic!("it is the store's failure: {error:?}"),
        Ok(_) => {
            late.deny(1).await;
            assert_eq!(late.count().await, (1, 0), "(used, held) of a remembered window");
        }
    }
    payer.spend(1).await;
}

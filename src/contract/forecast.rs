//! When units fit again: a check says it as a denial does.

use std::time::Duration;

use super::Subject;
use super::payer::Payer;
use crate::clock::{Clock, Timestamp};
use crate::decision::{Check, Denial};
use crate::limits::{Limit, Scope, Window};
use crate::standing::{Standing, Status};
use crate::store::Store;

/// Short beside a lease, which no law renews.
const LENGTH: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(500);
const AMOUNT: u64 = 10;

/// Limits whose counts come back in different ways, each alone and all at once.
fn features() -> Vec<Vec<Limit>> {
    let rolling = Limit::new(AMOUNT, Window::Rolling(LENGTH));
    let daily = Limit::new(AMOUNT, Window::Day);
    let monthly = Limit::new(AMOUNT, Window::Month).profile_calendar();
    let in_flight = Limit::new(2, Window::Concurrent);
    let all = vec![
        rolling.clone().named("rolling"),
        Limit::new(AMOUNT - 3, Window::Rolling(2 * LENGTH)).named("slowly"),
        Limit::new(6, Window::Rolling(LENGTH)).per_request().named("requests"),
        Limit::new(2, Window::Rolling(LENGTH)).shadow().named("shadow"),
        Limit::new(6, Window::Rolling(LENGTH)).scope(Scope::Everyone).named("everyone"),
        daily.clone().named("daily"),
        monthly.clone().named("monthly"),
        in_flight.clone().named("in-flight"),
    ];
    vec![vec![rolling], vec![daily], vec![monthly], vec![in_flight], all]
}

/// Whoever checks is told the same as whoever reserves and is denied: which limits have no room, and
/// when each of them has room for the units, to the millisecond. Also for more than a limit could
/// ever hold, and however the units before were spent, or are still held.
pub async fn a_check_says_what_a_denial_would_say<S: Subject<Books: Store>>(subject: &S) {
    for (number, limits) in features().into_iter().enumerate() {
        let payer = Payer::new(subject, limits).await.named(format!("{number}"));
        agree(&payer).await;
        for units in [1, 2, 1] {
            payer.spend(units).await;
            subject.clock().advance(Duration::from_millis(2_700));
        }
        agree(&payer).await;
        let held = payer.grant(2).await;
        agree(&payer).await;
        subject.clock().advance(LENGTH / 3);
        held.commit_units(1);
        payer.flush().await;
        let _held = payer.grant(1).await;
        agree(&payer).await;
        payer.credit(1).await;
        payer.debit(7).await;
        agree(&payer).await;
        subject.clock().advance(LENGTH - STEP);
        agree(&payer).await;
    }
}

/// Checks and reserves any number of units.
async fn agree(payer: &Payer) {
    for units in [1, 2, 3, 5, 7, 8, AMOUNT, AMOUNT + 1, 3 * AMOUNT, u64::MAX] {
        match payer.check(units).await {
            Check::Denied(checked) => {
                let denial = payer.deny(units).await;
                assert_eq!(told(&checked), told(&denial), "a check of {units} units, and a denial");
            }
            Check::Allowed(_) => {
                payer.grant(units).await.release();
                payer.flush().await;
            }
        }
    }
}

fn told(denial: &Denial) -> (Vec<Status>, Option<Status>, Option<u64>) {
    (denial.standing().statuses().collect(), denial.status(), denial.retry_after())
}

/// Nothing has to fit where nothing is asked for or all is granted: it is told when the first unit
/// comes back, also where more is used than the amount.
pub async fn whoever_asks_for_nothing_hears_of_the_first_unit<S: Subject<Books: Store>>(
    subject: &S,
) {
    let clock = subject.clock();
    let limits = [Limit::new(AMOUNT, Window::Rolling(LENGTH))];
    let payer = Payer::new(subject, limits).await;
    let first = clock.now();
    payer.spend(1).await;
    clock.advance(LENGTH / 3);
    payer.spend(3).await;
    clock.advance(LENGTH / 3);
    is_the_first(&checked(&payer, 4).await, first, "a check of units that fit");
    let reservation = payer.grant(6).await;
    is_the_first(reservation.standing(), first, "a grant");
    reservation.commit_units(9);
    payer.flush().await;
    is_the_first(&checked(&payer, 0).await, first, "a check of no units");
    is_the_first(payer.grant(0).await.standing(), first, "a grant of no units");
    let usage = payer.quotas.usage(payer.profile()).await.expect("the store failed to read");
    for standing in usage.standings() {
        is_the_first(standing, first, "what is used");
    }
}

async fn checked(payer: &Payer, units: u64) -> Standing {
    match payer.check(units).await {
        Check::Allowed(standing) => standing,
        Check::Denied(denial) => panic!("{units} units fit, says nobody: {denial:?}"),
    }
}

/// Whether it tells when what was reserved at `first` comes back.
fn is_the_first(standing: &Standing, first: Timestamp, what: &str) {
    let resets_at = standing.resets_at().expect("all of it comes back");
    let back = first.saturating_add(LENGTH);
    let within = back..=back.saturating_add(STEP);
    assert!(within.contains(&resets_at.into()), "{what}: {resets_at}, and not in {within:?}");
}

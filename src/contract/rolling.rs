//! Rolling windows: never more than the amount in any span of their length.

use std::time::Duration;

use super::dice::Dice;
use super::payer::Payer;
use super::{Subject, earlier};
use crate::clock::{Clock, Timestamp};
use crate::limits::{Limit, Window};
use crate::reservation::{Decision, Reservation};
use crate::store::Store;

/// Short beside a lease, which no law renews.
const LENGTH: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(500);
const MILLI: Duration = Duration::from_millis(1);
const AMOUNT: u64 = 10;

/// A payer with so many units in any span of that length.
async fn payer<S: Subject<Books: Store>>(subject: &S, id: &str) -> Payer {
    Payer::new(subject, [Limit::new(AMOUNT, Window::Rolling(LENGTH))]).await.named(id)
}

/// What was reserved at an instant, and kept.
type Grants = Vec<(Timestamp, u64)>;

/// What was reserved since `start`, up to and with `end`.
fn between(grants: &Grants, start: Timestamp, end: Timestamp) -> u64 {
    let within = grants.iter().filter(|(at, _)| start < *at && *at <= end);
    within.map(|(_, units)| units).sum()
}

/// Random requests: wherever a span of the window's length is laid, no more than the amount is
/// reserved in it, and nobody is denied for what was reserved more than a step longer ago.
pub async fn no_span_is_granted_more_than_the_amount<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    let payer = payer(subject, "7").await;
    let mut dice = Dice::new(7);
    let mut grants: Grants = Vec::new();
    let mut held: Vec<(Timestamp, Reservation)> = Vec::new();
    for _ in 0..200 {
        clock.advance(Duration::from_millis(dice.below(2_500)));
        let oldest = held.first().map(|(at, _)| at.saturating_add(LENGTH / 2));
        if oldest.is_some_and(|at| at <= clock.now() || dice.one_in(2)) {
            let (at, reservation) = held.remove(0);
            let spent = dice.below(reservation.units() + 1);
            grants.push((at, spent));
            reservation.commit_units(spent);
            payer.flush().await;
        }
        let (units, now) = (dice.below(4) + 1, clock.now());
        let open: u64 = held.iter().map(|(_, it)| it.units()).sum();
        match payer.reserve(units).await {
            Decision::Granted(reservation) => held.push((now, reservation)),
            Decision::Denied(_) => {
                let since = earlier(earlier(now, LENGTH), STEP);
                let counted = between(&grants, since, now) + open;
                assert!(counted + units > AMOUNT, "{units} beside {counted} were denied");
            }
        }
    }
    grants.extend(held.iter().map(|(at, it)| (*at, it.units())));
    for (end, _) in &grants {
        let spent = between(&grants, earlier(*end, LENGTH), *end);
        assert!(spent <= AMOUNT, "{spent} units in the window up to {end:?}");
    }
}

/// At the instant that a denial names its units fit, and not a millisecond before.
pub async fn units_fit_when_a_denial_says_so<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    for wanted in 1..=AMOUNT {
        let payer = payer(subject, &format!("{wanted} wanted")).await;
        for units in [1, 3, 2, 4] {
            payer.spend(units).await;
            clock.advance(Duration::from_millis(2_700));
        }
        let denial = payer.deny(wanted).await;
        let at = denial.resets_at().expect("all of it comes back");
        clock.set(earlier(at.into(), MILLI).into());
        payer.deny(wanted).await;
        clock.set(at);
        payer.grant(wanted).await.release();
        payer.flush().await;
        assert!(denial.retry_after().is_some_and(|seconds| (1..=31).contains(&seconds)));
    }
}

/// What is committed late, or after its window, counts where it was reserved; and until it is settled
/// it counts wherever that was.
pub async fn a_late_commit_counts_from_when_it_was_reserved<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    let payer = payer(subject, "7").await;
    let (soon, late) = (payer.grant(2).await, payer.grant(3).await);
    clock.advance(LENGTH / 2);
    soon.commit();
    payer.spend(4).await;
    assert_eq!(payer.count().await, (6, 3), "(used, held) after half of the window");
    clock.advance(LENGTH / 2 + STEP);
    assert_eq!(payer.count().await, (4, 3), "(used, held) after the window of the first");
    payer.deny(4).await;
    late.commit();
    payer.flush().await;
    assert_eq!(payer.count().await, (4, 0), "(used, held) after the late commit");
    clock.advance(LENGTH);
    assert_eq!(payer.count().await, (0, 0), "(used, held) when all has come back");
    payer.spend(AMOUNT).await;
    payer.deny(1).await;
}

/// While a clock is set back nothing is counted as long ago: what was used stays used, and what is
/// reserved and recorded meanwhile counts.
pub async fn a_clock_that_is_set_back_grants_nothing_twice<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    clock.advance(3 * LENGTH);
    let payer = payer(subject, "7").await;
    payer.spend(4).await;
    let noted = clock.now();
    clock.set(earlier(earlier(noted, LENGTH), LENGTH).into());
    payer.spend(3).await;
    payer.record(2).await;
    assert_eq!(payer.count().await, (9, 0), "(used, held) while the clock is behind");
    payer.deny(2).await;
    payer.spend(1).await;
    payer.deny(1).await;
    clock.set(noted.into());
    payer.deny(1).await;
    clock.advance(LENGTH + STEP);
    assert_eq!(payer.count().await, (0, 0), "(used, held) when all has come back");
    payer.spend(AMOUNT).await;
}

/// What is recorded counts from then on; a credit takes the latest, a reset all.
pub async fn changes_of_a_rolling_window_come_and_go<S: Subject<Books: Store>>(subject: &S) {
    let clock = subject.clock();
    let payer = payer(subject, "7").await;
    payer.record(4).await;
    clock.advance(LENGTH / 2);
    payer.debit(5).await;
    payer.credit(2).await;
    assert_eq!(payer.count().await, (7, 0), "(used, held) after a credit");
    clock.advance(LENGTH / 2 + STEP);
    assert_eq!(payer.count().await, (3, 0), "(used, held) when the first have come back");
    payer.record(20).await;
    assert_eq!(payer.count().await, (23, 0), "(used, held) after a record");
    payer.reset().await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) after a reset");
    payer.spend(AMOUNT).await;
}

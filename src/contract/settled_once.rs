//! Settled once: every reservation, as it was told, whatever way it ends.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, FutureExt};
use tokio::sync::Barrier;

use super::Subject;
use super::payer::{FEATURE, Payer};
use crate::clock::{Clock, Timestamp};
use crate::count::Spent;
use crate::limits::{Allowance, Limit, Profile, Window};
use crate::reservation::Reservation;
use crate::store::{Answer, Charge, Counter, Hold, HoldId, Reserve, Store, Verdict};

/// Longer than any store waits for an answer.
const GIVEN_UP: Duration = Duration::from_secs(20);

type End = fn(Reservation);

const ENDS: [(&str, End, u64); 6] = [
    ("commit", Reservation::commit, 4),
    ("commit fewer", |reservation| reservation.commit_units(1), 1),
    ("commit more", |reservation| reservation.commit_units(7), 7),
    ("commit more than the limit", |reservation| reservation.commit_units(11), 11),
    ("release", Reservation::release, 0),
    ("drop", drop, 0),
];

/// Commit, commit of more or fewer, release, drop: each costs what it says.
pub async fn a_reservation_is_settled_as_it_is_told<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, 10).await;
    for (name, end, spent) in ENDS {
        let payer = payer.named(name);
        let other = payer.grant(3).await;
        let reservation = payer.grant(4).await;
        assert_eq!(payer.count().await, (0, 7), "(used, held) before `{name}`");
        end(reservation);
        payer.flush().await;
        assert_eq!(payer.count().await, (spent, 3), "(used, held) after `{name}`");
        other.commit();
        payer.flush().await;
        assert_eq!(payer.count().await, (spent + 3, 0), "(used, held) after the other's commit");
    }
}

/// Asks the store itself for a hold, of a limit of 5 a day.
async fn hold(store: &impl Store, id: HoldId, units: u64, now: Timestamp) -> Hold {
    let limits = [Limit::new(5, Window::Day)];
    let allowance = Allowance::new(FEATURE, &limits).expect("the law's limit is bad");
    let payer = Profile::new("7", "free");
    let keyed = allowance.limits().first().expect("there is a limit");
    let counter = Counter::at(&payer, keyed, now).expect("it is the profile's own");
    let charges = [Charge { counter, ceiling: Some(5), refunds: None }];
    let request = Reserve { id, charges: &charges, units, now };
    match store.reserve(request).await.expect("the store failed to reserve") {
        Verdict::Granted(hold, counts) => {
            let told: Vec<u64> = counts.iter().map(|count| count.held).collect();
            assert_eq!(told, [units], "what the verdict says is held");
            hold
        }
        Verdict::Denied(counts) => panic!("{units} units fit and were denied: {counts:?}"),
    }
}

/// A hold that is settled again, in the same way or another, stays as it was settled first.
pub async fn a_second_settlement_changes_nothing<S: Subject<Books: Store>>(subject: &S) {
    let store = Arc::new(subject.open().await);
    let payer = Payer::daily(subject, 5).await;
    let ends = [(Spent::Held, 2), (Spent::Units(3), 3), (Spent::Units(0), 0), (Spent::Nothing, 0)];
    for (first, used) in ends {
        for (second, _) in ends {
            payer.reset().await;
            let id = HoldId::next();
            let now = subject.clock().now();
            let (one, again) = (hold(&store, id, 2, now).await, hold(&store, id, 2, now).await);
            one.settle(first);
            store.flush().await.expect("the store failed to flush");
            again.settle(second);
            store.flush().await.expect("the store failed to flush");
            let count = payer.count().await;
            assert_eq!(count, (used, 0), "(used, held) after {first:?}, then {second:?}");
        }
    }
}

/// A reserve that is sent again with the same id, because its answer was lost, holds nothing more.
pub async fn the_same_hold_again_is_the_same_grant<S: Subject<Books: Store>>(subject: &S) {
    let store = Arc::new(subject.open().await);
    let payer = Payer::daily(subject, 5).await;
    // A second hold of two would fit, and one of five would not.
    for units in [2, 5] {
        let (id, now) = (HoldId::next(), subject.clock().now());
        let first = hold(&store, id, units, now).await;
        let again = hold(&store, id, units, now).await;
        assert_eq!((first.id(), again.id()), (id, id), "the hold's name");
        assert_eq!(payer.count().await, (0, units), "(used, held)");
        drop((first, again));
        store.flush().await.expect("the store failed to flush");
        assert_eq!(payer.count().await, (0, 0), "(used, held) when it is released");
    }
}

/// What is in flight while a count starts over by an operator's hand is charged on top.
pub async fn a_settlement_after_a_reset_is_charged_on_top<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, 5).await;
    payer.spend(2).await;
    let held = payer.grant(3).await;
    payer.reset().await;
    assert_eq!(payer.count().await, (0, 3), "(used, held) after the reset");
    held.commit();
    payer.flush().await;
    assert_eq!(payer.count().await, (3, 0), "(used, held) after the commit");
}

/// An engine that is shut down has written all that was settled before.
pub async fn a_shutdown_writes_what_was_settled<S: Subject<Books: Store>>(subject: &S) {
    let (payer, other) = (Payer::daily(subject, 100).await, Payer::daily(subject, 100).await);
    for _ in 0..20 {
        let (kept, released) = (payer.grant(2).await, payer.grant(1).await);
        kept.commit();
        released.release();
    }
    payer.quotas.shutdown().await.expect("the store failed to shut down");
    assert_eq!(other.count().await, (40, 0), "(used, held) at another handle");
}

/// A reserve that is dropped while it waits holds nothing, however far it came.
pub async fn a_dropped_reserve_gives_back<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, [Limit::new(100, Window::Lifetime)]).await;
    for polls in 0..20 {
        match payer.quotas.reserve(payer.profile(), FEATURE, 3) {
            Answer::Ready(decision) => drop(decision),
            Answer::Pending(mut waiting) => {
                for _ in 0..polls {
                    if (&mut waiting).now_or_never().is_some() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    subject.clock().advance(GIVEN_UP);
    payer.flush().await;
    assert_eq!(payer.count().await.1, 0, "held by reserves that were dropped");
    assert_eq!(payer.count().await.0, 0, "used by reserves that were dropped");
    payer.spend(100).await;
}

/// Tasks that are aborted while they reserve, or while they hold, leave nothing behind.
pub async fn an_aborted_task_gives_back<S: Subject<Books: Store>>(subject: &S) {
    const TASKS: usize = 32;
    let payer = Payer::new(subject, [Limit::new(100, Window::Lifetime)]).await;
    let start = Arc::new(Barrier::new(TASKS + 1));
    let task = |_| {
        let (payer, start) = (payer.clone(), start.clone());
        tokio::spawn(async move {
            start.wait().await;
            let _decision = payer.reserve(3).await;
            future::pending::<()>().await;
        })
    };
    let tasks: Vec<_> = (0..TASKS).map(task).collect();
    start.wait().await;
    for task in tasks {
        task.abort();
        let ended = task.await.expect_err("it waits for ever");
        assert!(ended.is_cancelled(), "{ended}");
    }
    subject.clock().advance(GIVEN_UP);
    payer.flush().await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) by tasks that were aborted");
    payer.spend(100).await;
}

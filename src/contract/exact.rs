//! Exact: N units are granted, never one more, and nobody is denied without reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Subject;
use super::payer::{FEATURE, Payer};
use crate::limits::{Limit, Window};
use crate::reservation::{Decision, Reservation};
use crate::store::Store;

const TASKS: usize = 64;

/// Lets tasks that start together reserve, each of its own payer, and gives all that is granted.
async fn race(payers: &[&Payer], units: u64) -> Vec<Reservation> {
    let start = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for payer in payers.iter().cycle().take(TASKS) {
        let (payer, start) = (Payer::clone(payer), start.clone());
        tasks.spawn(async move {
            start.wait().await;
            let mut grants = Vec::new();
            for _ in 0..3 {
                if let Decision::Granted(reservation) = payer.reserve(units).await {
                    grants.push(reservation);
                }
            }
            grants
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Tasks that reserve at once are granted the limit, and not one unit more.
pub async fn tasks_are_granted_exactly_the_limit<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, 100).await;
    let grants = race(&[&payer], 3).await;
    assert_eq!(grants.len(), 33, "grants of 3 units each, of 100 units");
    assert_eq!(payer.count().await, (0, 99), "(used, held) while all are held");
    grants.into_iter().for_each(Reservation::commit);
    payer.flush().await;
    assert_eq!(payer.count().await, (99, 0), "(used, held) when all are committed");
    // What did not suffice for three suffices for one.
    payer.spend(1).await;
    payer.deny(1).await;
}

/// So are tasks that reach the same books through two handles.
pub async fn two_handles_are_granted_exactly_the_limit<S: Subject<Books: Store>>(subject: &S) {
    let (one, other) = (Payer::daily(subject, 50).await, Payer::daily(subject, 50).await);
    let grants = race(&[&one, &other], 1).await;
    assert_eq!(grants.len(), 50, "grants of 1 unit each, of 50 units");
    one.deny(1).await;
    other.deny(1).await;
    drop(grants);
    one.flush().await;
    other.flush().await;
    assert_eq!(one.count().await, (0, 0), "(used, held) at one handle");
    assert_eq!(other.count().await, (0, 0), "(used, held) at the other handle");
}

/// While some release, no more is held at once than the limit.
pub async fn tasks_that_release_never_hold_more_than_the_limit<S: Subject<Books: Store>>(
    subject: &S,
) {
    let payer = Payer::daily(subject, 10).await;
    // Counted apart from the books, so that they cannot agree with themselves.
    let outstanding = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..8_u64 {
        let (payer, outstanding) = (payer.clone(), outstanding.clone());
        tasks.spawn(async move {
            for round in 0..40 {
                let units = (task + round) % 4 + 1;
                let Decision::Granted(reservation) = payer.reserve(units).await else { continue };
                let before = outstanding.fetch_add(units, Ordering::SeqCst);
                assert!(before + units <= 10, "{units} granted where {before} of 10 are held");
                tokio::task::yield_now().await;
                outstanding.fetch_sub(units, Ordering::SeqCst);
                reservation.release();
            }
        });
    }
    tasks.join_all().await;
    payer.flush().await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) when all have released");
}

/// A request that fits is granted, whatever does not fit is asked for at the same time.
pub async fn whoever_fits_is_never_denied<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, 4).await;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let payer = payer.clone();
        tasks.spawn(async move {
            for _ in 0..40 {
                if task < 4 {
                    // Four that hold one unit at a time always fit.
                    payer.grant(1).await.release();
                    payer.flush().await;
                } else {
                    payer.deny(5).await;
                }
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) when all have released");
}

/// Hold, deny, release: whoever comes next is granted. Nothing of a denial stays in the way.
pub async fn a_denied_request_denies_nobody_else<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::daily(subject, 1).await;
    let first = payer.grant(1).await;
    for _ in 0..5 {
        payer.deny(1).await;
    }
    first.release();
    payer.flush().await;
    payer.spend(1).await;
    assert_eq!(payer.count().await, (1, 0), "(used, held)");
}

/// Denials leave no trace in the counts, not even once there is more room.
pub async fn a_denial_writes_nothing<S: Subject<Books: Store>>(subject: &S) {
    let limits = |amount| [Limit::new(2, Window::Hour), Limit::new(amount, Window::Day)];
    let payer = Payer::new(subject, limits(1)).await;
    for _ in 0..10 {
        payer.deny(2).await;
    }
    assert_eq!(payer.counts().await, [(0, 0); 2], "(used, held) after denials alone");
    let held = payer.grant(1).await;
    for _ in 0..10 {
        payer.deny(1).await;
    }
    assert_eq!(payer.counts().await, [(0, 1); 2], "(used, held) of the one grant");
    let raised = payer.quotas.set_limits("free", [(FEATURE, limits(2))]);
    raised.expect("the law's limits are bad");
    payer.spend(1).await;
    payer.deny(1).await;
    held.commit();
    payer.flush().await;
    assert_eq!(payer.counts().await, [(2, 0); 2], "(used, held) of the two grants");
}

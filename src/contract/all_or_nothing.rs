//! All or nothing: a reservation takes of all limits, or of none.

use tokio::task::JoinSet;

use super::Subject;
use super::payer::Payer;
use crate::limits::{Limit, Window};
use crate::reservation::Decision;
use crate::store::Store;

/// Whichever limit has no room, and wherever it stands, the others are not touched.
pub async fn a_tripped_limit_takes_nothing_of_the_others<S: Subject<Books: Store>>(subject: &S) {
    for tripped in 0..3 {
        let windows = [Window::Day, Window::Month, Window::Lifetime];
        let limits = windows.into_iter().enumerate().map(|(place, window)| {
            let amount = if place == tripped { 2 } else { 9 };
            Limit::new(amount, window)
        });
        let payer = Payer::new(subject, limits).await.named(format!("{tripped} trips"));
        payer.spend(1).await;
        let _held = payer.grant(1).await;
        for _ in 0..5 {
            let denial = payer.deny(1).await;
            assert_eq!(denial.violated().count(), 1, "limits that had no room");
        }
        assert_eq!(payer.counts().await, [(1, 1); 3], "(used, held) where {tripped} trips");
    }
}

/// Tasks that reserve, commit and release at once leave the same in each limit.
pub async fn tasks_take_the_same_of_every_limit<S: Subject<Books: Store>>(subject: &S) {
    let limits = [
        Limit::new(90, Window::Day),
        Limit::new(40, Window::Month),
        Limit::new(70, Window::Lifetime),
    ];
    let payer = Payer::new(subject, limits).await;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let payer = payer.clone();
        tasks.spawn(async move {
            let mut kept = 0;
            for round in 0..15 {
                match payer.reserve(1).await {
                    Decision::Granted(reservation) if (round + task) % 3 == 0 => {
                        reservation.release();
                    }
                    Decision::Granted(reservation) => {
                        reservation.commit();
                        kept += 1;
                    }
                    Decision::Denied(_) => (),
                }
            }
            kept
        });
    }
    let kept = tasks.join_all().await.into_iter().sum::<u64>();
    payer.flush().await;
    assert!(kept <= 40, "{kept} units are kept of a limit of 40");
    assert_eq!(payer.counts().await, [(kept, 0); 3], "(used, held) of each limit");
    for _ in kept..40 {
        payer.spend(1).await;
    }
    payer.deny(1).await;
}

/// What is recorded, credited, debited and reset, is in all limits.
pub async fn a_change_reaches_every_limit<S: Subject<Books: Store>>(subject: &S) {
    let limits = [Limit::new(9, Window::Day), Limit::new(9, Window::Month)];
    let payer = Payer::new(subject, limits).await;
    let _held = payer.grant(2).await;
    payer.record(4).await;
    assert_eq!(payer.counts().await, [(4, 2); 2], "(used, held) after a record of 4");
    payer.credit(1).await;
    assert_eq!(payer.counts().await, [(3, 2); 2], "(used, held) after a credit of 1");
    payer.debit(20).await;
    assert_eq!(payer.counts().await, [(23, 2); 2], "(used, held) after a debit of 20");
    payer.reset().await;
    assert_eq!(payer.counts().await, [(0, 2); 2], "(used, held) after a reset");
}

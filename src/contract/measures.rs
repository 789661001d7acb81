//! What limits count of a reservation: its units, that it was made, or that it is in flight.

use std::time::Duration;

use tokio::task::JoinSet;

use super::Subject;
use super::payer::Payer;
use crate::limits::{Limit, Window};
use crate::reservation::Decision;
use crate::store::Store;

/// Requests and tokens side by side, and so many at a time.
fn limits() -> [Limit; 3] {
    [
        Limit::new(3, Window::Day).named("requests").per_request(),
        Limit::new(1_000, Window::Day).named("tokens").unit("tokens"),
        Limit::new(2, Window::Concurrent),
    ]
}

/// Each limit is charged in its own unit, whatever is committed in the end.
pub async fn each_limit_is_charged_in_its_own_unit<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, limits()).await;
    let held = payer.grant(400).await;
    assert_eq!(payer.counts().await, [(0, 1), (0, 400), (0, 1)], "requests, tokens, in flight");
    held.commit_units(550);
    payer.flush().await;
    assert_eq!(payer.counts().await, [(1, 0), (550, 0), (0, 0)], "after 550 were committed");
    payer.grant(450).await.release();
    payer.flush().await;
    assert_eq!(payer.counts().await, [(1, 0), (550, 0), (0, 0)], "after a release");
    drop(payer.grant(450).await);
    payer.flush().await;
    assert_eq!(payer.counts().await, [(1, 0), (550, 0), (0, 0)], "after one was dropped");
    payer.grant(450).await.commit_units(0);
    payer.flush().await;
    assert_eq!(payer.counts().await, [(2, 0), (550, 0), (0, 0)], "after 0 were committed");
    let denial = payer.deny(451).await;
    let violated: Vec<_> = denial.violated().map(|it| it.limit().to_owned()).collect();
    assert_eq!(violated, ["tokens"], "limits that had no room");
    payer.spend(450).await;
    let denial = payer.deny(1).await;
    assert_eq!(denial.violated().count(), 2, "limits that had no room");
    assert_eq!(payer.counts().await, [(3, 0), (1_000, 0), (0, 0)], "when all is spent");
}

/// No more than so many are in flight, and each that ends makes room for the next, however it ends.
pub async fn no_more_are_in_flight_than_may_be<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, [Limit::new(2, Window::Concurrent)]).await;
    let (first, second) = (payer.grant(7).await, payer.grant(1).await);
    let denial = payer.deny(1).await;
    assert_eq!(denial.resets_at(), None, "nobody knows when one of them ends");
    assert_eq!(denial.retry_after(), Some(1), "but one of them will");
    first.commit();
    payer.flush().await;
    let third = payer.grant(1).await;
    payer.deny(1).await;
    drop((second, third));
    payer.flush().await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) when none is in flight");
    // It does not matter how much time goes by in between.
    let _fourth = payer.grant(1).await;
    subject.clock().advance(Duration::from_secs(1));
    assert_eq!(payer.count().await, (0, 1), "(used, held)");
    payer.grant(1).await.commit_units(5);
    payer.flush().await;
    assert_eq!(payer.count().await, (0, 1), "(used, held)");
}

/// Tasks that come and go: never more than the limit are in flight at a time.
pub async fn tasks_in_flight_are_never_more_than_the_limit<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, [Limit::new(3, Window::Concurrent)]).await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let payer = payer.clone();
        tasks.spawn(async move {
            let mut most = 0;
            for _ in 0..10 {
                if let Decision::Granted(reservation) = payer.reserve(1).await {
                    most = payer.count().await.1.max(most);
                    reservation.commit();
                    payer.flush().await;
                }
            }
            most
        });
    }
    let most = tasks.join_all().await.into_iter().max();
    assert!(most.is_some_and(|most| (1..=3).contains(&most)), "{most:?} at a time");
    assert_eq!(payer.count().await, (0, 0), "(used, held) when all are done");
}

/// There is nothing to record or give back where only what is in flight is counted.
pub async fn changes_leave_what_is_in_flight<S: Subject<Books: Store>>(subject: &S) {
    let payer = Payer::new(subject, limits()).await;
    let _held = payer.grant(10).await;
    payer.record(100).await;
    payer.debit(100).await;
    assert_eq!(payer.counts().await, [(2, 1), (200, 10), (0, 1)], "requests, tokens, in flight");
    payer.credit(70).await;
    assert_eq!(payer.counts().await, [(1, 1), (130, 10), (0, 1)], "requests, tokens, in flight");
    payer.reset().await;
    assert_eq!(payer.counts().await, [(0, 1), (0, 10), (0, 1)], "requests, tokens, in flight");
}

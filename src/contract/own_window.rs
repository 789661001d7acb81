//! In its own window: a settlement goes to the window that was charged, however late.

use std::time::Duration;

use super::Subject;
use super::payer::{FEATURE, Payer, shortly_before_the_end};
use crate::clock::{Clock, Timestamp};
use crate::limits::{Allowance, Limit, Window};
use crate::store::{Charge, Counter, Store};

/// What is used and held of a daily limit, on the day that holds `then`.
async fn back_then(store: &impl Store, payer: &Payer, then: Timestamp) -> (u64, u64) {
    let limits = [Limit::new(1, Window::Day)];
    let allowance = Allowance::new(FEATURE, &limits).expect("the law's limit is bad");
    let keyed = allowance.limits().first().expect("there is a limit");
    let counter = Counter::at(payer.profile(), keyed, then).expect("it is the profile's own");
    let charge = Charge { counter, ceiling: None, refunds: None };
    let counts = store.read(&[charge], 0, then).await;
    let counts = counts.expect("the store failed to read a day that is just over");
    let count = counts.first().expect("one counter was read");
    (count.used, count.held)
}

/// The next day is charged nothing for what was reserved the day before.
pub async fn a_commit_after_midnight_is_charged_to_the_day_before<S: Subject<Books: Store>>(
    subject: &S,
) {
    let (clock, store) = (subject.clock(), subject.open().await);
    shortly_before_the_end(clock, Window::Day, Duration::from_secs(30));
    let before = clock.now();
    let payer = Payer::daily(subject, 3).await;
    payer.spend(1).await;
    let late = payer.grant(2).await;
    clock.advance(Duration::from_secs(40));
    assert_eq!(payer.count().await, (0, 0), "(used, held) as the next day begins");
    assert_eq!(back_then(&store, &payer, before).await, (1, 2), "(used, held) the day before");
    late.commit();
    payer.flush().await;
    assert_eq!(payer.count().await, (0, 0), "(used, held) the next day");
    assert_eq!(back_then(&store, &payer, before).await, (3, 0), "(used, held) the day before");
    payer.spend(3).await;
}

/// Nor does it get anything back, what it has used itself least of all.
pub async fn a_release_after_midnight_gives_the_next_day_nothing<S: Subject<Books: Store>>(
    subject: &S,
) {
    let (clock, store) = (subject.clock(), subject.open().await);
    shortly_before_the_end(clock, Window::Day, Duration::from_secs(30));
    let before = clock.now();
    let payer = Payer::daily(subject, 2).await;
    let (released, dropped) = (payer.grant(1).await, payer.grant(1).await);
    clock.advance(Duration::from_secs(40));
    payer.spend(2).await;
    released.release();
    drop(dropped);
    payer.flush().await;
    assert_eq!(payer.count().await, (2, 0), "(used, held) the next day");
    assert_eq!(back_then(&store, &payer, before).await, (0, 0), "(used, held) the day before");
    payer.deny(1).await;
}

/// A window holds its last millisecond, and not the next one.
pub async fn the_last_millisecond_is_the_days_and_the_next_is_not<S: Subject<Books: Store>>(
    subject: &S,
) {
    shortly_before_the_end(subject.clock(), Window::Day, Duration::from_millis(1));
    let payer = Payer::daily(subject, 1).await;
    payer.spend(1).await;
    for _ in 0..5 {
        payer.deny(1).await;
    }
    assert_eq!(payer.count().await, (1, 0), "(used, held) in the last millisecond");
    subject.clock().advance(Duration::from_millis(1));
    assert_eq!(payer.count().await, (0, 0), "(used, held) in the first millisecond");
    payer.spend(1).await;
    payer.deny(1).await;
}

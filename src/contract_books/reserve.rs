//! Books outside of this process: what may be held.

use std::sync::Arc;

use futures::future;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::clerk::{Clerk, PATIENCE, charges};
use crate::bounds::MAX_UNITS;
use crate::clock::Timestamp;
use crate::contract::Subject;
use crate::count::Spent;
use crate::store::{Held, Lapse, MAX_COUNT, RemoteBooks, RemoteCharge, RemoteReserve};

/// Units are granted up to the ceiling and not above it, and the verdict says what is counted and
/// when.
pub async fn units_are_held_up_to_the_ceiling<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let used = clerk.hold(&counter, 2, Lapse::GiveBack).await;
    clerk.settle(&[used.settlement(Spent::Held)]).await;
    let request = |units| clerk.request(charges([&counter], Some(7)), units);

    let granted = clerk.reserve(&request(4)).await;
    assert_eq!(granted.now, clerk.now(), "the books' clock");
    let Held::Granted(counts) = granted.held else { panic!("4 of 5 units: {granted:?}") };
    let told: Vec<_> = counts.iter().map(|count| (count.used, count.held)).collect();
    assert_eq!(told, [(2, 4)], "(used, held) as told with the grant");

    let denied = clerk.reserve(&request(2)).await;
    let Held::Denied(counts) = denied.held else { panic!("2 of 1 units: {denied:?}") };
    let told: Vec<_> = counts.iter().map(|count| (count.used, count.held)).collect();
    assert_eq!(told, [(2, 4)], "(used, held) as told with the denial");
    assert_eq!(clerk.count(&counter).await, (2, 4), "(used, held) as read");

    assert!(clerk.try_hold(&counter, 1, 7).await.is_some(), "the last unit was denied");
    assert!(clerk.try_hold(&counter, 1, 7).await.is_none(), "a unit too many was granted");
    assert!(clerk.try_hold(&counter, 1, 0).await.is_none(), "a unit of nothing was granted");
    assert!(
        clerk.try_hold(&counter, MAX_UNITS, MAX_UNITS).await.is_none(),
        "too many were granted"
    );
    let time = clerk.books.time().await.expect("the books failed to tell the time");
    assert_eq!(time, clerk.now(), "the books' clock");
}

/// Reserves that race, through two handles, are granted the ceiling and not one unit more.
pub async fn racing_reserves_hold_exactly_the_ceiling<S: Subject<Books: RemoteBooks>>(subject: &S) {
    const TASKS: usize = 40;
    let clerk = Clerk::new(subject).await;
    let clerks = [clerk.clone(), clerk.at_another_handle(subject).await];
    let counter = clerk.counter("7");
    let start = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for clerk in clerks.iter().cycle().take(TASKS) {
        let (clerk, counter, start) = (clerk.clone(), counter.clone(), start.clone());
        tasks.spawn(async move {
            start.wait().await;
            let mut grants = 0;
            for _ in 0..3 {
                grants += usize::from(clerk.try_hold(&counter, 2, 51).await.is_some());
            }
            grants
        });
    }
    let grants = tasks.join_all().await.into_iter().sum::<usize>();
    assert_eq!(grants, 25, "grants of 2 units each, below a ceiling of 51");
    assert_eq!(clerk.count(&counter).await, (0, 50), "(used, held)");
}

/// Where one counter has no room, of whatever scope and wherever it stands, none is touched.
pub async fn several_counters_are_held_or_none<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    for full in 0..3 {
        let counters = ["profile", "tenant", "everyone"]
            .map(|scope| clerk.counter(format!("{scope}, {full} is full")));
        let ceilings = (0..3).map(|place| if place == full { Some(2) } else { Some(9) });
        let charges: Arc<[RemoteCharge]> = counters
            .iter()
            .zip(ceilings)
            .map(|(counter, ceiling)| RemoteCharge {
                counter: counter.clone(),
                ceiling,
                refunds: None,
            })
            .collect();
        let request = || clerk.request(charges.clone(), 2);
        let granted = clerk.reserve(&request()).await.held;
        assert!(matches!(granted, Held::Granted(_)), "all had room: {granted:?}");
        let denied = clerk.reserve(&request()).await.held;
        let Held::Denied(counts) = denied else { panic!("{full} had no room: {denied:?}") };
        assert_eq!(counts.len(), 3, "counts told with the denial");
        assert_eq!(clerk.counts(&counters).await, [(0, 2); 3], "(used, held) of each");
    }
}

/// Reserves, renewals and settlements of the same counters in different orders, and sweeps between
/// them, all come to an end.
pub async fn counters_named_in_any_order_do_not_wait_for_each_other<
    S: Subject<Books: RemoteBooks>,
>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let counters = ["a", "b", "c"].map(|scope| clerk.counter(scope));
    let mut tasks = JoinSet::new();
    for task in 0..8_usize {
        let (clerk, mut counters) = (clerk.clone(), counters.clone());
        counters.rotate_left(task % 3);
        if task % 2 == 0 {
            counters.reverse();
        }
        tasks.spawn(async move {
            for _ in 0..15 {
                let [a, b, c] = &counters;
                let slips = [
                    clerk.hold_all(&[a, b, c], 1, Lapse::GiveBack).await,
                    clerk.hold_all(&[c, a], 1, Lapse::Charge).await,
                ];
                clerk.renew_all(&slips).await;
                clerk.sweep(10).await;
                clerk.settle(&slips.map(|slip| slip.settlement(Spent::Held))).await;
            }
        });
    }
    tasks.join_all().await;
    let counts = clerk.counts(&counters).await;
    assert_eq!(counts.iter().map(|(used, _)| used).sum::<u64>(), 8 * 15 * 5, "{counts:?}");
    assert!(counts.iter().all(|(_, held)| *held == 0), "all is settled: {counts:?}");
}

/// A reserve whose answer was lost is sent again: the same grant, whether there is room or nothing
/// is left.
pub async fn a_repeated_reserve_is_the_same_grant<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    for ceiling in [3, 100] {
        let counters = ["7", "everyone"].map(|scope| clerk.counter(format!("{scope} {ceiling}")));
        let request = clerk.request(charges(&counters, Some(ceiling)), 3);
        for time in 1..4 {
            let held = clerk.reserve(&request).await.held;
            let Held::Granted(counts) = held else { panic!("the {time}. time: {held:?}") };
            let told: Vec<_> = counts.iter().map(|count| (count.used, count.held)).collect();
            assert_eq!(told, [(0, 3); 2], "(used, held) as told the {time}. time, of {ceiling}");
        }
        let again = future::join_all((0..8).map(|_| clerk.reserve(&request))).await;
        let granted = again.iter().filter(|verdict| matches!(verdict.held, Held::Granted(_)));
        assert_eq!(granted.count(), 8, "grants of eight at once, of {ceiling}");
        assert_eq!(clerk.counts(&counters).await, [(0, 3); 2], "(used, held) of {ceiling}");
    }
}

/// A reserve that is executed too late, or by whoever is wrong about the books' clock, holds
/// nothing.
pub async fn a_stale_reserve_writes_nothing<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    clerk.clock.advance(PATIENCE * 10);
    let at = |millis: i64| Timestamp::from_millis(clerk.now().as_millis() + millis);
    let patience = i64::try_from(PATIENCE.as_millis()).expect("it is short");
    let cases = [
        (at(-60_000), true),
        (at(-1), true),
        (at(0), false),
        (at(patience), false),
        (at(patience + 1), true),
        (at(600_000), true),
    ];
    for (not_after, stale) in cases {
        let counter = clerk.counter(format!("{not_after:?}"));
        let request = RemoteReserve { not_after, ..clerk.request(charges([&counter], Some(9)), 2) };
        let verdict = clerk.reserve(&request).await;
        let now = clerk.now();
        assert_eq!(verdict.held == Held::Stale, stale, "not after {not_after:?}, at {now:?}");
        assert_eq!(verdict.now, now, "the books' clock");
        let held = if stale { 0 } else { 2 };
        assert_eq!(clerk.count(&counter).await, (0, held), "(used, held), {not_after:?}");
    }
}

/// Where there is no ceiling, the most that can be counted is one.
pub async fn no_more_than_can_be_counted_is_held<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counter = clerk.counter("7");
    let mut slips = Vec::new();
    for _ in 0..MAX_COUNT / MAX_UNITS {
        slips.push(clerk.hold(&counter, MAX_UNITS, Lapse::GiveBack).await);
    }
    let left = MAX_COUNT % MAX_UNITS;
    let request = |units| clerk.request(charges([&counter], None), units);
    let denied = clerk.reserve(&request(left + 1)).await.held;
    assert!(matches!(denied, Held::Denied(_)), "more than can be counted: {denied:?}");
    slips.push(clerk.hold(&counter, left, Lapse::GiveBack).await);
    let denied = clerk.reserve(&request(1)).await.held;
    assert!(matches!(denied, Held::Denied(_)), "more than can be counted: {denied:?}");
    assert_eq!(clerk.count(&counter).await, (0, MAX_COUNT), "(used, held)");
    let settled: Vec<_> = slips.iter().map(|slip| slip.settlement(Spent::Units(1))).collect();
    clerk.settle(&settled).await;
    assert_eq!(clerk.count(&counter).await, (10, 0), "(used, held) when all is settled");
}

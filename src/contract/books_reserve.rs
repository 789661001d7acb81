//! Books outside of this process: what may be held.

use std::collections::HashSet;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures::future;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Subject;
use super::clerk::{Clerk, MILLI, PATIENCE, charges, limit_key};
use crate::bounds::{MAX_ID_BYTES, MAX_UNITS};
use crate::clock::Timestamp;
use crate::count::Spent;
use crate::error::StoreError;
use crate::limits::{ProfileId, Span};
use crate::store::{
    Change, Held, HoldId, Lapse, MAX_COUNT, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter,
    RemoteReserve,
};

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
            .map(|(counter, ceiling)| RemoteCharge { counter: counter.clone(), ceiling })
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

/// Reserves and settlements of the same counters in different orders all come to an end.
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
                clerk.settle(&slips.map(|slip| slip.settlement(Spent::Held))).await;
            }
        });
    }
    tasks.join_all().await;
    let counts = clerk.counts(&counters).await;
    assert_eq!(counts.iter().map(|(used, _)| used).sum::<u64>(), 8 * 15 * 5, "{counts:?}");
    assert!(counts.iter().all(|(_, held)| *held == 0), "all is settled: {counts:?}");
}

/// A reserve whose answer was lost is sent again: the same grant, also where nothing is left.
pub async fn a_repeated_reserve_is_the_same_grant<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let counters = [clerk.counter("7"), clerk.counter("everyone")];
    let request = clerk.request(charges(&counters, Some(3)), 3);
    for time in 1..4 {
        let held = clerk.reserve(&request).await.held;
        let Held::Granted(counts) = held else { panic!("the {time}. time: {held:?}") };
        let told: Vec<_> = counts.iter().map(|count| (count.used, count.held)).collect();
        assert_eq!(told, [(0, 3); 2], "(used, held) as told the {time}. time");
    }
    assert_eq!(clerk.counts(&counters).await, [(0, 3); 2], "(used, held)");
    let again: Vec<_> = (0..8).map(|_| clerk.reserve(&request)).collect();
    let again = future::join_all(again).await;
    assert!(again.iter().all(|verdict| matches!(verdict.held, Held::Granted(_))), "{again:?}");
    assert_eq!(clerk.counts(&counters).await, [(0, 3); 2], "(used, held) after a race");
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

/// A window that has been over for so long that it is forgotten is an error to whoever asks for it,
/// and is not counted afresh; until then it is counted in.
pub async fn a_forgotten_window_is_a_clock_skew<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let start = clerk.now();
    let end = start.saturating_add(Duration::from_secs(60));
    let over = clerk.counter_in("7", Span { start, end });
    let open = clerk.counter("8");
    let held = clerk.hold(&over, 2, Lapse::GiveBack).await;
    clerk.settle(&[held.settlement(Spent::Held)]).await;
    let forgotten = end.saturating_add(clerk.lease().keep);
    clerk.clock.set(Timestamp::from_millis(forgotten.as_millis() - 1).into());
    clerk.sweep(1_000).await;
    assert_eq!(clerk.count(&over).await, (2, 0), "(used, held) while it is remembered");
    assert!(clerk.try_hold(&over, 1, 2).await.is_none(), "granted though all is used");

    clerk.clock.advance(MILLI);
    for _ in 0..2 {
        let request = clerk.request(charges([&open, &over], Some(9)), 1);
        is_skew("reserve", clerk.books.reserve(&request).await.map(drop), end);
        let change = RemoteChange {
            nonce: 1,
            sequence: 1,
            counters: vec![open.clone(), over.clone()],
            change: Change::Debit(1),
        };
        is_skew("change", clerk.books.change(&change).await, end);
        let read = clerk.books.read(&[open.clone(), over.clone()]).await;
        is_skew("read", read.map(drop), end);
        // A second time, when they may have forgotten it indeed.
        clerk.sweep(1_000).await;
    }
    assert_eq!(clerk.count(&open).await, (0, 0), "(used, held) of what was asked for beside it");
}

fn is_skew(verb: &str, answer: Result<(), StoreError>, end: Timestamp) {
    let Err(error) = answer else { panic!("`{verb}` of a forgotten window is answered") };
    let skew = StoreError::clock_skew(end);
    let source = |error: &StoreError| error.source().map(ToString::to_string);
    assert_eq!(error.to_string(), skew.to_string(), "`{verb}`: {error:?}");
    assert_eq!(source(&error), source(&skew), "`{verb}`: {error:?}");
    assert!(error.is_transient(), "`{verb}`: it passes when the clock is right: {error:?}");
}

/// Scopes, limits and windows that differ have keys and counts that differ.
pub async fn keys_of_counters_do_not_collide<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let start = clerk.now();
    let [longest, shorter] = [MAX_ID_BYTES, MAX_ID_BYTES - 1].map(|length| vec![0xff; length]);
    let scopes: [&[u8]; 10] =
        [b"a", b"a/b", b"a\0", b"\0", b"{a}", b"{a", b"}", b"a ", &longest, &shorter];
    let mut counters = Vec::new();
    for scope in scopes {
        for limit in ["b", "b.c", "0"].map(limit_key) {
            for after in [0, 1, 256] {
                let start = start.saturating_add(MILLI * after);
                let window = Span { start, end: start.saturating_add(Duration::from_secs(3_600)) };
                let (scope, limit) = (ProfileId::new(scope), limit.clone());
                counters.push(RemoteCounter { scope, limit, window });
            }
        }
    }
    let keys: HashSet<_> = counters.iter().map(RemoteCounter::key).collect();
    assert_eq!(keys.len(), counters.len(), "keys of counters that differ");
    for (counter, units) in counters.iter().zip(1..) {
        let change = RemoteChange {
            nonce: HoldId::next().nonce,
            sequence: units,
            counters: vec![counter.clone()],
            change: Change::Debit(units),
        };
        clerk.change(&change).await;
    }
    for ((counter, count), units) in counters.iter().zip(clerk.counts(&counters).await).zip(1..) {
        assert_eq!(count, (units, 0), "(used, held) of {counter:?}");
    }
}

//! Books outside of this process: which counter it is, and how long it is remembered.

use std::collections::HashSet;
use std::error::Error as _;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::clerk::{Clerk, MILLI, charges, limit_key};
use crate::bounds::MAX_ID_BYTES;
use crate::clock::Timestamp;
use crate::contract::{Subject, earlier};
use crate::count::Spent;
use crate::error::StoreError;
use crate::limits::{Limit, LimitKey, ProfileId, Span, Window};
use crate::store::{
    Change, HoldId, Lapse, RemoteBooks, RemoteChange, RemoteCounter, RemoteOpening,
};

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
        let read = clerk.books.read(&charges([&open, &over], None), 0).await;
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
        for limit in ["b", "b.c", "0"].map(named) {
            for after in [0, 1, 256] {
                let start = start.saturating_add(MILLI * after);
                let window = Span { start, end: start.saturating_add(Duration::from_secs(3_600)) };
                let (scope, limit) = (ProfileId::new(scope), limit.clone());
                counters.push(RemoteCounter { scope, tenant: None, limit, window });
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

fn named(name: &str) -> Arc<LimitKey> {
    limit_key(&Limit::new(1, Window::Lifetime).named(name))
}

/// A hold that is renewed past the end of its window is still settled into it, and the window is
/// remembered as long.
pub async fn a_hold_outlives_its_window_until_it_is_settled<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let start = clerk.now();
    let end = start.saturating_add(Duration::from_secs(1));
    let counter = clerk.counter_in("7", Span { start, end });
    let slip = clerk.hold(&counter, 4, Lapse::GiveBack).await;
    let forgotten = end.saturating_add(clerk.lease().keep);
    while clerk.now().saturating_add(clerk.lease().length / 2) < forgotten {
        clerk.clock.advance(clerk.lease().length / 2);
        clerk.renew(&slip).await;
        clerk.sweep(1_000).await;
        assert_eq!(clerk.count(&counter).await, (0, 4), "(used, held) long after the window");
    }
    // Nobody may ask for it now, and still it is there: as a clock shows that is set back a little.
    clerk.clock.set(forgotten.into());
    clerk.renew(&slip).await;
    clerk.sweep(1_000).await;
    clerk.clock.set(earlier(forgotten, MILLI).into());
    assert_eq!(clerk.count(&counter).await, (0, 4), "(used, held) when all others are forgotten");
    clerk.settle(&[slip.settlement(Spent::Units(6))]).await;
    assert_eq!(clerk.count(&counter).await, (6, 0), "(used, held) when it is settled");
}

/// A counter of a limit that follows the profile's calendar, in a window that ends so many days from
/// now.
fn moving<B: RemoteBooks>(clerk: &Clerk<B>, scope: &str, days: u64) -> RemoteCounter {
    let limit = limit_key(&Limit::new(1, Window::Day).profile_calendar());
    let (start, length) = (clerk.now(), Duration::from_secs(days * 24 * 60 * 60));
    let window = Span { start, end: start.saturating_add(length) };
    RemoteCounter { limit, ..clerk.counter_in(scope, window) }
}

/// The first one to open a window is told to all, until somebody opens the next who knows of it.
pub async fn the_last_window_is_told<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let clerk = Clerk::new(subject).await;
    let [first, second, third] = [2, 1, 4].map(|days| moving(&clerk, "7", days));
    let other = moving(&clerk, "8", 3);
    assert_eq!(clerk.last(&[first.clone(), other.clone()]).await, [None, None], "to begin with");
    let (long_ago, after) = (Timestamp::MIN, first.window.end);
    assert_eq!(clerk.open(&first, long_ago).await, first.window, "when it is the first");
    assert_eq!(clerk.open(&second, long_ago).await, first.window, "when there is one");
    assert_eq!(clerk.open(&third, earlier(after, MILLI)).await, first.window, "before its end");
    assert_eq!(clerk.open(&other, long_ago).await, other.window, "when it is another's first");
    assert_eq!(clerk.open(&third, after).await, third.window, "when it is the next");
    assert_eq!(clerk.open(&first, after).await, third.window, "when the next is there");
    let last = clerk.last(&[other.clone(), second, moving(&clerk, "9", 1)]).await;
    assert_eq!(last, [Some(other.window), Some(third.window), None], "the last windows");
    assert_eq!(clerk.counts(&[first, other]).await, [(0, 0); 2], "(used, held)");
}

/// Of all that open a window at the same time, one does, and the others are told which.
pub async fn racing_callers_open_one_window<S: Subject<Books: RemoteBooks>>(subject: &S) {
    let mut after = Timestamp::MIN;
    for round in 0..4 {
        let mut tasks = JoinSet::new();
        for days in 1..9 {
            let clerk = Clerk::new(subject).await;
            let counter = moving(&clerk, "7", 10 * round + days);
            tasks.spawn(async move { clerk.open(&counter, after).await });
        }
        let told = tasks.join_all().await;
        let first = told.first().expect("there are callers");
        assert!(told.iter().all(|window| window == first), "different windows: {told:?}");
        assert!(after < first.end, "a window that ends before the last one");
        after = first.end;
    }
}

/// As long as a window of another calendar can have begun before it ended.
pub async fn a_last_window_is_known_as_long_as_it_matters<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let counter = moving(&clerk, "7", 1);
    clerk.open(&counter, Timestamp::MIN).await;
    let known_until = counter.known_until();
    assert!(counter.window.end < known_until, "a window of its length may have begun before");
    clerk.clock.set(earlier(known_until, MILLI).into());
    clerk.sweep(1_000).await;
    let last = clerk.last(slice::from_ref(&counter)).await;
    assert_eq!(last, [Some(counter.window)], "to the last moment");
}

/// A caller whose clock is far ahead makes nobody wait for its window.
pub async fn a_window_far_in_the_future_is_a_clock_skew<S: Subject<Books: RemoteBooks>>(
    subject: &S,
) {
    let clerk = Clerk::new(subject).await;
    let counter = moving(&clerk, "7", 1);
    let latest = clerk.now().saturating_add(clerk.lease().keep);
    let at = |start: Timestamp| {
        let window = Span { start, end: start.saturating_add(Duration::from_secs(86_400)) };
        let counter = RemoteCounter { window, ..counter.clone() };
        RemoteOpening { counter, after: Timestamp::MIN }
    };
    let refused = clerk.books.open(&at(latest.saturating_add(MILLI))).await;
    assert!(refused.expect_err("it was opened").is_clock_skew(), "another error");
    assert_eq!(clerk.last(slice::from_ref(&counter)).await, [None], "the last window");
    let latest = at(latest);
    let opened =
        clerk.books.open(&latest).await.expect("the clock is ahead no more than it may be");
    assert_eq!(opened, latest.counter.window, "the last window");
}

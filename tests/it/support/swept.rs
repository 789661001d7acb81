//! What a sweep of SQL books deletes.

use futures::future::join_all;
use tower_quota::store::{Change, RemoteBooks, RemoteChange, RemoteCounter, RemoteOpening};
use tower_quota::{Clock, Limit, ManualClock, Timestamp, Window};

use super::counters::{Counted, SECOND, ask, counter, limit_key};

/// How many counters there are of either kind.
const MANY: u64 = 40;

/// Holds that nobody settles and the counters of windows that are over are deleted, a few at a time
/// and not before. `rows` counts counters, holds and lines of changes.
pub(crate) async fn check_sweep(
    books: &impl RemoteBooks,
    clock: &ManualClock,
    rows: impl AsyncFn() -> (i64, i64, i64),
) {
    let lease = books.lease();
    let start = clock.now();
    for sequence in 0..10 {
        let scope = format!("profile {sequence}");
        let counters = [
            counter(&scope, Window::Fixed(10 * SECOND), start),
            counter(&scope, Window::Lifetime, start),
        ];
        books.reserve(&ask(sequence, &counters, None, 1, start)).await.unwrap();
    }
    assert_eq!(rows().await, (20, 20, 0));
    let gone = start.saturating_add(lease.length + lease.keep);
    clock.set(Timestamp::from_millis(gone.as_millis() - 1).into());
    assert_eq!(books.sweep(100).await.unwrap(), 0);
    clock.set(gone.into());

    let mut deleted = Vec::new();
    loop {
        match books.sweep(7).await.unwrap() {
            0 if rows().await.1 == 0 => break,
            swept => deleted.push(swept),
        }
    }
    assert!(deleted.iter().all(|swept| *swept <= 7), "{deleted:?}");
    // The holds, and the counters of the windows that are over.
    assert_eq!(deleted.iter().sum::<u32>(), 30);
    assert_eq!(rows().await, (10, 0, 0));
}

/// Neither records of holds, nor closed counters, nor lines of changes wait for the others to end.
pub(crate) async fn check_nothing_starves(books: &impl RemoteBooks, clock: &ManualClock) {
    let (start, lease) = (clock.now(), books.lease());
    let lapsing = |sequence| counter(format!("lapsing {sequence}"), Window::Lifetime, start);
    let requests: Vec<_> =
        (0..MANY).map(|number| ask(number, &[lapsing(number)], None, 1, start)).collect();
    for made in join_all(requests.iter().map(|request| books.reserve(request))).await {
        made.unwrap();
    }
    let closing = |number| counter(format!("closing {number}"), Window::Fixed(SECOND), start);
    let change = |nonce, counter| RemoteChange {
        nonce,
        sequence: 1,
        counters: vec![counter],
        change: Change::Debit(1),
    };
    for number in 0..MANY {
        books.change(&change(number, closing(number))).await.unwrap();
    }
    clock.advance(RemoteChange::REMEMBERED.max(lease.length + lease.keep));
    let mut kept = change(MANY, lapsing(0));
    books.change(&kept).await.unwrap();
    // Each counter that is dropped takes its line along, and other lines are swept by themselves.
    let mut swept = Vec::new();
    loop {
        match books.sweep(8).await.unwrap() {
            0 => break,
            some => swept.push(some),
        }
    }
    assert!(swept.iter().all(|some| *some <= 8), "{swept:?}");
    assert!(swept.iter().sum::<u32>() >= 80, "{swept:?}");

    // A line that goes on is still known.
    let used = books.counted(&kept.counters).await.unwrap()[0].used;
    books.change(&kept).await.unwrap();
    assert_eq!(books.counted(&kept.counters).await.unwrap()[0].used, used);
    kept.sequence = 2;
    books.change(&kept).await.unwrap();
    assert_eq!(books.counted(&kept.counters).await.unwrap()[0].used, used + 1);
}

/// One counter of which more is due than a sweep may mark is gone on with.
pub(crate) async fn check_a_full_counter_is_swept(books: &impl RemoteBooks, clock: &ManualClock) {
    let (start, lease) = (clock.now(), books.lease());
    let full = [counter("full", Window::Lifetime, start)];
    let requests: Vec<_> = (0..100).map(|number| ask(number, &full, None, 1, start)).collect();
    for made in join_all(requests.iter().map(|request| books.reserve(request))).await {
        made.unwrap();
    }
    clock.advance(lease.length + lease.keep);
    let mut swept = Vec::new();
    while swept.iter().sum::<u32>() < 100 {
        swept.push(books.sweep(10).await.unwrap());
        assert!(swept.len() < 50, "{swept:?}");
    }
    assert!(swept.iter().all(|some| *some <= 10), "{swept:?}");
}

/// The last windows of limits that follow the profile's calendar are deleted when it makes no
/// difference any more, and not before. `rows` counts them.
pub(crate) async fn check_last_windows_are_swept(
    books: &impl RemoteBooks,
    clock: &ManualClock,
    rows: impl AsyncFn() -> i64,
) {
    let limit = limit_key(Limit::new(1, Window::Day).profile_calendar());
    for scope in 0..10 {
        let counter = counter(format!("profile {scope}"), Window::Day, clock.now());
        let counter = RemoteCounter { limit: limit.clone(), ..counter };
        books.open(&RemoteOpening { counter, after: Timestamp::MIN }).await.unwrap();
    }
    let end = Window::Day.around(clock.now()).end;
    let known_until = end.saturating_add(limit.longest_window().unwrap());
    clock.set(Timestamp::from_millis(known_until.as_millis() - 1).into());
    assert_eq!(books.sweep(100).await.unwrap(), 0);
    assert_eq!(rows().await, 10);
    clock.set(known_until.into());
    assert_eq!(books.sweep(7).await.unwrap(), 7);
    assert_eq!(books.sweep(7).await.unwrap(), 3);
    assert_eq!(rows().await, 0);
}

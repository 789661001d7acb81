//! What a sweep of SQL books deletes.

use tower_quota::store::RemoteBooks;
use tower_quota::{Clock, ManualClock, Timestamp, Window};

use super::counters::{SECOND, ask, counter};

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

//! Deleting what nobody will miss.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use super::draft::{Draft, Key, Rows, Wanted};
use crate::clock::Timestamp;
use crate::store::books::Lease;

/// The rows that a sweep looks through and deletes.
pub(crate) trait SweptRows: Rows {
    /// Counters whose windows were over, and whose holds' leases had ended, by `before`.
    fn closed(
        &mut self,
        before: Timestamp,
        at_most: u32,
    ) -> impl Future<Output = sqlx::Result<Vec<Key>>> + Send;

    /// The next counters in the order of their keys, each with its `lapse_at`.
    fn after(
        &mut self,
        key: &Key,
        at_most: u32,
    ) -> impl Future<Output = sqlx::Result<Vec<(Key, Option<Timestamp>)>>> + Send;

    /// Deletes marked holds whose leases had ended by `before`, and says how many.
    fn drop_marked(
        &mut self,
        before: Timestamp,
        at_most: u32,
    ) -> impl Future<Output = sqlx::Result<u32>> + Send;

    /// Deletes those of the counters that have no holds and whose windows were over by `before`, and
    /// says how many.
    fn drop_counters(
        &mut self,
        keys: &[Key],
        before: Timestamp,
    ) -> impl Future<Output = sqlx::Result<u32>> + Send;
}

/// Up to where counters have been looked through for holds that are due.
#[derive(Debug, Default)]
pub(crate) struct Cursor(Mutex<Key>);

impl Cursor {
    fn get(&self) -> Key {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, key: Key) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

/// Deletes at most so many records: holds that have been lapsed, and counters that have been closed
/// for [`keep`](Lease::keep).
///
/// A hold whose process died is marked by whoever uses its counter next. Where nobody does, the
/// sweep must: it looks through as many counters in each call, one after the other, which costs the
/// other verbs no index.
pub(crate) async fn sweep(
    rows: &mut impl SweptRows,
    cursor: &Cursor,
    lease: Lease,
    at_most: u32,
) -> sqlx::Result<u32> {
    let now = rows.now().await?;
    let before = earlier(now, lease);
    let closed = rows.closed(before, at_most).await?;
    let seen = rows.after(&cursor.get(), at_most).await?;
    let is_last = seen.len() < usize::try_from(at_most).unwrap_or(usize::MAX);
    let next = seen.last().filter(|_| !is_last).map(|(key, _)| key.clone());
    let due = |(key, lapse_at): (Key, Option<Timestamp>)| {
        lapse_at.is_some_and(|at| at <= now).then_some(key)
    };
    let due = seen.into_iter().filter_map(due);
    let counters: BTreeMap<_, _> =
        closed.iter().cloned().chain(due).map(|key| (key, None)).collect();
    // Opening a draft marks what is due.
    let draft = Draft::open(rows, &Wanted { counters, ..Wanted::default() }, lease).await?;
    rows.write(&draft).await?;
    let holds = rows.drop_marked(before, at_most).await?;
    let rest = usize::try_from(at_most.saturating_sub(holds)).unwrap_or(usize::MAX);
    let closed = closed.get(..rest).unwrap_or(&closed);
    let counters = rows.drop_counters(closed, before).await?;
    cursor.set(next.unwrap_or_default());
    Ok(holds.saturating_add(counters))
}

/// The instant that [`keep`](Lease::keep) is over since.
fn earlier(now: Timestamp, lease: Lease) -> Timestamp {
    let keep = i64::try_from(lease.keep.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(keep))
}

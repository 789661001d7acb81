//! Deleting what nobody will miss.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::draft::{Draft, Key, Rows};
use crate::clock::Timestamp;
#[cfg(doc)]
use crate::store::books::RemoteCounter;
use crate::store::books::{Lease, RemoteChange};

/// How many rows a transaction of a sweep touches at most: what it locks, others wait for.
const TOGETHER: u32 = 32;

/// The rows that a sweep looks through and deletes.
pub(crate) trait SweptRows: Rows {
    /// Counters without holds whose windows were over by `before`.
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

    /// Deletes lines of changes whose last one was made by `before`, and says how many.
    fn drop_lines(
        &mut self,
        before: Timestamp,
        at_most: u32,
    ) -> impl Future<Output = sqlx::Result<u32>> + Send;

    /// Deletes windows that need not be known any more, and says how many.
    fn drop_windows(
        &mut self,
        now: Timestamp,
        at_most: u32,
    ) -> impl Future<Output = sqlx::Result<u32>> + Send;

    /// Deletes those of the counters, which are locked, that have no holds and whose windows were
    /// over by `before`, and says how many.
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

    /// To be called when what was marked up to there is committed.
    pub(crate) fn set(&self, key: Key) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

/// What is swept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rubbish {
    /// Lapsed holds, kept for long enough.
    Holds,
    /// Counters of windows that have been over for long enough.
    Counters,
    /// Lines of changes that nobody goes on with.
    Lines,
    /// Last windows that do not matter any more.
    Windows,
}

/// Does a part of a sweep in a transaction of its own.
pub(crate) trait Sweeper: Sync {
    /// Marks due holds of the next counters, as [`mark`] does.
    fn mark(&self, at_most: u32) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Deletes, as [`delete`] does.
    fn delete(&self, what: Rubbish, at_most: u32)
    -> impl Future<Output = sqlx::Result<u32>> + Send;
}

/// Deletes at most so many records: holds that have been lapsed, and counters that have been closed
/// for [`keep`](Lease::keep), lines of changes that are not
/// [remembered](RemoteChange::REMEMBERED) any longer, and last windows that need not be
/// [known](RemoteCounter::known_until).
///
/// A hold whose process died is marked by whoever uses its counter next. Where nobody does, the
/// sweep must: it looks through as many counters in each call, one after the other, which costs the
/// other verbs no index.
pub(crate) async fn sweep(sweeper: &impl Sweeper, at_most: u32) -> sqlx::Result<u32> {
    let mut looked = 0;
    while let Some(some) = next(looked, at_most) {
        if !sweeper.mark(some).await? {
            break;
        }
        looked = looked.saturating_add(some);
    }
    let rest = |deleted: u32| at_most.saturating_sub(deleted);
    // A share for each, so that none waits for the others to end.
    let mut deleted = delete_all(sweeper, Rubbish::Lines, at_most.div_ceil(4)).await?;
    deleted = deleted
        .saturating_add(delete_all(sweeper, Rubbish::Windows, rest(deleted).div_ceil(3)).await?);
    let holds = rest(deleted).div_ceil(2);
    deleted = deleted.saturating_add(delete_all(sweeper, Rubbish::Holds, holds).await?);
    for what in [Rubbish::Counters, Rubbish::Holds, Rubbish::Lines, Rubbish::Windows] {
        deleted = deleted.saturating_add(delete_all(sweeper, what, rest(deleted)).await?);
    }
    Ok(deleted)
}

/// How many come next, if any.
fn next(done: u32, at_most: u32) -> Option<u32> {
    Some(at_most.saturating_sub(done).min(TOGETHER)).filter(|some| *some > 0)
}

async fn delete_all(sweeper: &impl Sweeper, what: Rubbish, at_most: u32) -> sqlx::Result<u32> {
    let mut deleted = 0;
    while let Some(some) = next(deleted, at_most) {
        let did = sweeper.delete(what, some).await?;
        deleted = deleted.saturating_add(did);
        if did < some {
            break;
        }
    }
    Ok(deleted)
}

/// Marks at most so many due holds of as many counters after the cursor. Gives where the cursor is
/// to be afterwards; at the end of all counters, nowhere.
pub(crate) async fn mark(
    rows: &mut impl SweptRows,
    cursor: &Cursor,
    lease: Lease,
    at_most: u32,
) -> sqlx::Result<Option<Key>> {
    let now = rows.now().await?;
    let start = cursor.get();
    let seen = rows.after(&start, at_most).await?;
    let is_due = |lapse_at: &Option<Timestamp>| lapse_at.is_some_and(|at| at <= now);
    let due = seen.iter().filter(|(_, lapse_at)| is_due(lapse_at));
    let due = due.map(|(key, _)| (key.clone(), None)).collect();
    let draft = Draft::mark(rows, &due, at_most, lease).await?;
    rows.write(&draft).await?;
    // Where something is left to be marked, the next transaction goes on.
    let is_left =
        |key: &Key| draft.counters.get(key).is_some_and(|page| page.row.may_be_due(draft.now));
    match seen.iter().position(|(key, _)| is_left(key)) {
        Some(left) => {
            let before = left.checked_sub(1).and_then(|before| seen.get(before));
            Ok(Some(before.map_or(start, |(key, _)| key.clone())))
        }
        None => Ok(end(&seen, at_most)),
    }
}

/// The last key, unless it is the last of all.
fn end(seen: &[(Key, Option<Timestamp>)], at_most: u32) -> Option<Key> {
    let is_last = seen.len() < usize::try_from(at_most).unwrap_or(usize::MAX);
    seen.last().filter(|_| !is_last).map(|(key, _)| key.clone())
}

/// Deletes at most so many records, and says how many.
pub(crate) async fn delete(
    rows: &mut impl SweptRows,
    what: Rubbish,
    lease: Lease,
    at_most: u32,
) -> sqlx::Result<u32> {
    let now = rows.now().await?;
    let before = earlier(now, lease.keep);
    match what {
        Rubbish::Holds => rows.drop_marked(before, at_most).await,
        Rubbish::Lines => rows.drop_lines(earlier(now, RemoteChange::REMEMBERED), at_most).await,
        Rubbish::Windows => rows.drop_windows(now, at_most).await,
        Rubbish::Counters => {
            let closed = rows.closed(before, at_most).await?;
            let wanted = closed.iter().map(|key| (key.clone(), None)).collect();
            rows.counters(&wanted).await?;
            rows.drop_counters(&closed, before).await
        }
    }
}

fn earlier(now: Timestamp, time: Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}

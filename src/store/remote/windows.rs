//! In which windows limits are counted that follow the profile's calendar.

use std::sync::Arc;

use futures::future::try_join_all;
use moka::sync::Cache;

use super::link::Link;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::limits::{LimitKey, Placed, ProfileId, Span};
use crate::store::books::{RemoteBooks, RemoteCounter, RemoteOpening};
use crate::store::request::Counter;

/// Of so many counters they are remembered. Of others, the books are asked again.
const REMEMBERED: u64 = 100_000;

/// The last windows that the books have told. One that is open stays the last one up to its end, so
/// nobody has to be asked again before.
pub(super) struct Windows(Cache<Key, Span>);

type Key = (ProfileId, Arc<LimitKey>);

/// A counter whose window the books are to be asked for.
pub(super) struct Unknown {
    /// Which of the counters of a call it is.
    pub(super) index: usize,
    counter: RemoteCounter,
    placed: Placed,
}

impl Windows {
    pub(super) fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }

    /// A counter in the window that counts at `now`, if it need not be asked for.
    pub(super) fn place(
        &self,
        (index, counter): (usize, &Counter<'_>),
        now: Timestamp,
        unknown: &mut Vec<Unknown>,
    ) -> RemoteCounter {
        let Counter { scope, tenant, limit, window, .. } = *counter;
        let (scope, tenant) = (scope.clone(), tenant.cloned());
        let mut placed = RemoteCounter { scope, tenant, limit: limit.clone(), window };
        if limit.longest_window().is_some() {
            if let Some(open) = self.0.get(&key(&placed)).filter(|last| now < last.end) {
                placed.window = open;
            } else {
                let (counter, placed) = (placed.clone(), counter.placed());
                unknown.push(Unknown { index, counter, placed });
            }
        }
        placed
    }

    /// The windows that count at `now`, opened if they are not yet.
    pub(super) async fn open<B: RemoteBooks>(
        &self,
        link: &Link<B>,
        unknown: &[Unknown],
        now: Timestamp,
    ) -> Result<Vec<Span>, StoreError> {
        try_join_all(unknown.iter().map(|unknown| self.open_one(link, unknown, now))).await
    }

    async fn open_one<B: RemoteBooks>(
        &self,
        link: &Link<B>,
        Unknown { counter, placed, .. }: &Unknown,
        now: Timestamp,
    ) -> Result<Span, StoreError> {
        let key = key(counter);
        let mut last = self.0.get(&key);
        loop {
            let window = last.map_or(placed.window, |last| placed.after(last, now));
            let after = last.map_or(Timestamp::MIN, |last| last.end);
            let counter = RemoteCounter { window, ..counter.clone() };
            let told = link.open(&RemoteOpening { counter, after }).await?;
            self.0.insert(key.clone(), told);
            // One that others have opened meanwhile may be over as well.
            if now < told.end || told.end <= after {
                return Ok(told);
            }
            last = Some(told);
        }
    }

    /// The windows that would count at `now`.
    pub(super) async fn read<B: RemoteBooks>(
        &self,
        link: &Link<B>,
        unknown: &[Unknown],
        now: Timestamp,
    ) -> Result<Vec<Span>, StoreError> {
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        let counters: Vec<_> = unknown.iter().map(|unknown| unknown.counter.clone()).collect();
        let last = link.last(&counters).await?;
        let window = |(Unknown { counter, placed, .. }, last): (&Unknown, Option<Span>)| {
            if let Some(open) = last.filter(|last| now < last.end) {
                self.0.insert(key(counter), open);
            }
            last.map_or(placed.window, |last| placed.after(last, now))
        };
        Ok(unknown.iter().zip(last).map(window).collect())
    }
}

impl Unknown {
    /// When the window ends that follows the one which the calendar says.
    pub(super) fn next_end(&self) -> Timestamp {
        self.placed.next_end
    }
}

/// The window to charge what was spent without the books: the last one that they know, if that is
/// from the same time, else the one that was counted in, which they have heard of now.
pub(super) async fn window_to_charge<B: RemoteBooks>(
    link: &Link<B>,
    counter: &RemoteCounter,
) -> Result<Span, StoreError> {
    let own = counter.window;
    let mut opening = RemoteOpening { counter: counter.clone(), after: Timestamp::MIN };
    let mut last = link.open(&opening).await?;
    if last.end <= own.start {
        opening.after = last.end;
        last = link.open(&opening).await?;
    }
    let overlaps = last.start < own.end && own.start < last.end;
    Ok(if overlaps { last } else { own })
}

/// Has counters counted in the windows that were asked for.
pub(super) fn put<'a>(
    counters: impl Iterator<Item = &'a mut RemoteCounter>,
    unknown: &[Unknown],
    windows: Vec<Span>,
) {
    let mut told = unknown.iter().map(|unknown| unknown.index).zip(windows).peekable();
    for (index, counter) in counters.enumerate() {
        if let Some((_, window)) = told.next_if(|(which, _)| *which == index) {
            counter.window = window;
        }
    }
}

fn key(counter: &RemoteCounter) -> Key {
    (counter.scope.clone(), counter.limit.clone())
}

//! A cache of exhausted counters in front of a remote store.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::FutureExt;
use moka::sync::Cache;

use super::Store;
use super::answer::Answer;
use super::request::{Change, Charge, Counter, Reserve, Verdict};
use crate::clock::Timestamp;
use crate::count::{Count, Counts};
use crate::error::StoreError;
use crate::limits::{LimitKey, ProfileId};

const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(1);
const DEFAULT_CAPACITY: u64 = 100_000;

/// A store that remembers for a moment what another one has denied, so that a flood of requests
/// that are denied costs the other one next to nothing.
///
/// It remembers what was *used*, which only grows in a window, and compares it with the amount and
/// the units of the request at hand: so a limit that is raised applies at once, and a smaller
/// request gets its own answer. What is merely held is never a reason to deny from memory, nor is what
/// is used in a [rolling window](crate::Window::Rolling), where units come back any time.
///
/// What this process gives back ([`Quotas::credit`](crate::Quotas::credit),
/// [`Quotas::reset`](crate::Quotas::reset)) is seen at once; what another process gives back, or a
/// settlement of a hold that had lapsed, at the latest after the time to live.
///
/// ```
/// use std::time::Duration;
/// use tower_quota::MemoryStore;
/// use tower_quota::store::ExhaustedCache;
///
/// // In front of a store in another place than this one, of course.
/// let store = ExhaustedCache::new(MemoryStore::new()).time_to_live(Duration::from_millis(200));
/// ```
pub struct ExhaustedCache<S> {
    inner: S,
    memory: Arc<Memory>,
    time_to_live: Duration,
}

struct Memory {
    denied: Cache<Key, Entry>,
    /// Counts what was given back. An answer that was under way meanwhile may not know of it.
    given_back: RwLock<u64>,
}

/// Whose count, of which limit, in the window that starts when: in any, where windows follow the
/// profile's calendar, for the one that counts need not be the one that was asked for.
type Key = (ProfileId, Arc<LimitKey>, Timestamp);

#[derive(Clone, Copy)]
struct Entry {
    count: Count,
    /// Whether the request that was denied would not have fitted here, and when it was.
    was_full: bool,
    as_of: Timestamp,
}

impl<S: Store> ExhaustedCache<S> {
    /// Remembers some 100,000 counters for a second each.
    pub fn new(store: S) -> Self {
        Self {
            inner: store,
            memory: Arc::new(Memory::new(DEFAULT_CAPACITY)),
            time_to_live: DEFAULT_TIME_TO_LIVE,
        }
    }

    /// Remembers each denial this long: so late may another process's credit be seen.
    #[must_use]
    pub fn time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    /// Remembers about this many counters. To be called before the first use: the cache starts
    /// empty.
    #[must_use]
    pub fn capacity(mut self, counters: u64) -> Self {
        self.memory = Arc::new(Memory::new(counters));
        self
    }

    /// The counts with which the request is denied from memory; none if it is for the store to say.
    fn denied(&self, request: &Reserve<'_>) -> Option<Counts> {
        let mut counts = Counts::new();
        let mut exhausted = false;
        for charge in request.charges {
            let entry = self.memory.denied.get(&key(&charge.counter))?;
            if !self.is_fresh(&entry, request.now) {
                return None;
            }
            let used_alone = Count { held: 0, ..entry.count };
            let rolls = charge.counter.limit.rolling().is_some();
            if rolls && (entry.was_full || !charge.admits(&entry.count, request.units)) {
                // It is the one to say when these units fit, or has said when others do.
                return None;
            }
            exhausted |= !charge.admits(&used_alone, request.units);
            counts.push(entry.count);
        }
        exhausted.then_some(counts)
    }

    /// Whether the entry is not older than the time to live, nor from a clock that was set back, nor
    /// from a window that is over.
    fn is_fresh(&self, entry: &Entry, now: Timestamp) -> bool {
        let is_open = now < entry.count.window.end;
        is_open && entry.as_of <= now && now < entry.as_of.saturating_add(self.time_to_live)
    }
}

impl Memory {
    fn new(capacity: u64) -> Self {
        Self { denied: Cache::new(capacity), given_back: RwLock::default() }
    }

    fn given_back(&self) -> u64 {
        *self.given_back.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a store has counted when `given_back` stood as it was when it was asked.
    fn remember(&self, keys: Vec<Key>, entries: impl Iterator<Item = Entry>, given_back: u64) {
        let now_given_back = self.given_back.read().unwrap_or_else(PoisonError::into_inner);
        if *now_given_back != given_back {
            return;
        }
        for (key, entry) in keys.into_iter().zip(entries) {
            self.denied.insert(key, entry);
        }
    }

    fn forget(&self, keys: &[Key]) {
        let mut given_back = self.given_back.write().unwrap_or_else(PoisonError::into_inner);
        *given_back = given_back.wrapping_add(1);
        drop(given_back);
        for key in keys {
            self.denied.invalidate(key);
        }
    }
}

/// Forgets counters once something is given back, or nobody waits for that any more. An answer that
/// is under way then may have been given without it.
struct GivingBack {
    memory: Arc<Memory>,
    keys: Vec<Key>,
}

impl Drop for GivingBack {
    fn drop(&mut self) {
        self.memory.forget(&self.keys);
    }
}

fn key(counter: &Counter<'_>) -> Key {
    let follows_profile = counter.limit.longest_window().is_some();
    let start = if follows_profile { Timestamp::MIN } else { counter.window.start };
    (counter.scope.clone(), counter.limit.clone(), start)
}

impl<S: Store> Store for ExhaustedCache<S> {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        if let Some(counts) = self.denied(&request) {
            return Answer::Ready(Ok(Verdict::Denied(counts)));
        }
        let (units, as_of) = (request.units, request.now);
        let keys = request.charges.iter().map(|charge| key(&charge.counter)).collect();
        let asked = |of: &Charge<'_>| (of.counter.limit.measure().held(units), of.ceiling);
        let asked: Vec<_> = request.charges.iter().map(asked).collect();
        let (memory, given_back) = (self.memory.clone(), self.memory.given_back());
        self.inner.reserve(request).map(move |verdict| {
            if let Ok(Verdict::Denied(counts)) = &verdict {
                let entries = counts.iter().zip(asked).map(|(count, (units, ceiling))| Entry {
                    count: *count,
                    was_full: ceiling.is_some_and(|ceiling| !count.admits(units, ceiling)),
                    as_of,
                });
                memory.remember(keys, entries, given_back);
            }
            verdict
        })
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        self.inner.read(charges, units, now)
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        if let Change::Debit(_) = change {
            return self.inner.change(counters, change, now);
        }
        let keys = counters.iter().map(key).collect();
        let giving_back = GivingBack { memory: self.memory.clone(), keys };
        match self.inner.change(counters, change, now) {
            Answer::Ready(changed) => Answer::Ready(changed),
            Answer::Pending(changed) => {
                Answer::Pending(changed.inspect(move |_| drop(giving_back)).boxed())
            }
        }
    }

    fn flush(&self) -> Answer<Result<(), StoreError>> {
        self.inner.flush()
    }

    fn shutdown(&self) -> Answer<Result<(), StoreError>> {
        self.inner.shutdown()
    }
}

impl<S: fmt::Debug> fmt::Debug for ExhaustedCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExhaustedCache").field("inner", &self.inner).finish_non_exhaustive()
    }
}

//! The books: atomic verbs on counters and holds.
//!
//! # Which one
//!
//! | books | who shares them | after a restart | feature |
//! |---|---|---|---|
//! | [`MemoryStore`], the default | nobody: one process | empty | |
//! | `SqliteBooks` | the processes of one machine | as they were | `sqlite` |
//! | `PostgresBooks` | everybody | as they were | `postgres` |
//! | `RedisBooks` | everybody, at a fraction of the cost | as far as Redis has saved them | `redis` |
//! | [`Store`], `RemoteBooks` | as you write them | | `remote` for the second |
//!
//! All but the first are [`RemoteBooks`](https://docs.rs/tower-quota/latest/tower_quota/store/trait.RemoteBooks.html):
//! `Remote` makes a store of them. Its docs say what it adds: time-outs, settling in the background,
//! leases, a circuit breaker.
//!
//! # While the store is away
//!
//! A failure of the store is never a denial. What becomes of the request is for
//! [`OnStoreFailure`](crate::OnStoreFailure) to say: 503, or it passes uncounted. Before that comes
//! to pass, `RemoteOptions::local_share` may let each process serve a part of each limit by itself,
//! and charge the books when they are back.
//!
//! An [`ExhaustedCache`] in front of a remote store answers those who have used up a limit without
//! asking it.

mod answer;
#[cfg(feature = "remote")]
mod books;
mod counters;
mod entry;
mod exhausted;
mod hold;
mod home;
mod ledger;
mod ledgers;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod refund_caps;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "remote")]
mod remote_request;
mod request;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stripes;

use std::fmt;
use std::sync::Arc;

pub use answer::Answer;
#[cfg(feature = "remote")]
pub use books::{
    Held, Lapse, Lease, MAX_COUNT, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter,
    RemoteOpening, RemoteReserve, RemoteSettlement, RemoteVerdict, Renewal,
};
pub use exhausted::ExhaustedCache;
pub use hold::{Hold, HoldId, Settle};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresBooks, PostgresBooksBuilder};
#[cfg(feature = "redis")]
pub use redis::{RedisBooks, RedisBooksBuilder};
#[cfg(feature = "remote")]
pub use remote::{Remote, RemoteOptions};
pub use request::{Change, Charge, Counter, Reserve, Verdict};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteBooks, SqliteBooksBuilder};

use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
#[cfg(doc)]
use crate::limits::LimitKey;

/// Where counts and holds are kept.
///
/// An answer is [ready at once or a boxed future](Answer): a store in this process answers without
/// allocating or yielding, a remote one boxes once.
///
/// # Contract
///
/// - `reserve` is atomic: it holds `units` of every counter, as its limit
///   [measures](LimitKey::measure) them, or of none. It denies exactly if `used + held + units` is above the ceiling of some counter at that moment, and then writes
///   nothing. The same id again gives the same grant.
/// - A hold is settled at most once, by its id, into the window that was charged, however late.
///   Settling an unknown hold changes and creates nothing.
/// - A [refund](crate::Spent::Refund) is made, or the hold is spent, in all of its counters: it is made if every
///   counter that the hold was reserved of under a [cap](Charge::refunds) has room under that cap for the
///   hold's units, beside what was refunded in its window before. It then counts in these counters, and
///   in no other: one counter may be reserved of under different caps and without any, and each hold
///   goes by its own. [`Refunds`](crate::Refunds) does the counting.
/// - A pending `reserve` that is dropped gives back what it may have held; a store that has made the
///   [`Hold`] before it waits gets this for nothing.
/// - What was reserved in a window that [rolls](LimitKey::rolling) counts until a whole window
///   after that, by [`Buckets`](crate::Buckets), and its commit goes to where it was reserved. The
///   window that is told of it, with a denial or by `read`, ends when the units asked for fit: when as
///   many as are [missing](Charge::missing) have come back. Where none is, and with a grant, it ends
///   when the first unit comes back.
/// - Where windows [follow the profile's calendar](LimitKey::longest_window), the one that counts is
///   that of [`Counter::window_after`], and the counts tell which. What is read makes none the last.
/// - A counter is never below 0 and never forgotten while its window is open. A window that has
///   been forgotten is an error when it is asked for again, not a fresh count.
/// - A failure is an error, never a denial, and no call waits without bound.
///
/// # Example
///
/// A whole store, in maps under one lock:
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
/// use tower_quota::store::{
///     Answer, Change, Charge, Counter, Hold, HoldId, Reserve, Settle, Store, Verdict,
/// };
/// use tower_quota::{
///     Count, Counts, Limit, Measure, Plan, ProfileId, Quotas, Spent, StoreError, Timestamp, Window,
/// };
///
/// type Key = (ProfileId, String, Timestamp);
///
/// #[derive(Debug, Default)]
/// struct Books {
///     counts: HashMap<Key, Count>,
///     holds: HashMap<HoldId, (Vec<(Key, Measure)>, u64)>,
/// }
///
/// fn key(counter: &Counter<'_>) -> Key {
///     (counter.scope.clone(), counter.limit.as_str().to_owned(), counter.window.start)
/// }
///
/// impl Books {
///     fn count(&self, counter: &Counter<'_>) -> Count {
///         let count = self.counts.get(&key(counter)).copied();
///         count.unwrap_or(Count::unused(counter.window))
///     }
/// }
///
/// #[derive(Debug, Default)]
/// struct Shared(Mutex<Books>);
///
/// impl Shared {
///     fn books(&self) -> MutexGuard<'_, Books> {
///         self.0.lock().unwrap_or_else(PoisonError::into_inner)
///     }
/// }
///
/// #[derive(Debug, Default)]
/// struct MapStore(Arc<Shared>);
///
/// impl Store for MapStore {
///     fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
///         let mut books = self.0.books();
///         let mut counts: Counts =
///             request.charges.iter().map(|charge| books.count(&charge.counter)).collect();
///         if !books.holds.contains_key(&request.id) {
///             let mut each = request.charges.iter().zip(&counts);
///             if !each.all(|(charge, count)| charge.admits(count, request.units)) {
///                 return Answer::Ready(Ok(Verdict::Denied(counts)));
///             }
///             let mut keys = Vec::new();
///             for (charge, count) in request.charges.iter().zip(&mut counts) {
///                 let measure = charge.counter.limit.measure();
///                 count.held = count.held.saturating_add(measure.held(request.units));
///                 let key = key(&charge.counter);
///                 books.counts.insert(key.clone(), *count);
///                 keys.push((key, measure));
///             }
///             books.holds.insert(request.id, (keys, request.units));
///         }
///         let hold = Hold::new(request.id, self.0.clone());
///         Answer::Ready(Ok(Verdict::Granted(hold, counts)))
///     }
///
///     fn read(
///         &self,
///         charges: &[Charge<'_>],
///         _units: u64,
///         _now: Timestamp,
///     ) -> Answer<Result<Vec<Count>, StoreError>> {
///         let books = self.0.books();
///         Answer::Ready(Ok(charges.iter().map(|charge| books.count(&charge.counter)).collect()))
///     }
///
///     fn change(
///         &self,
///         counters: &[Counter<'_>],
///         change: Change,
///         _now: Timestamp,
///     ) -> Answer<Result<(), StoreError>> {
///         let mut books = self.0.books();
///         for counter in counters {
///             let mut count = books.count(counter);
///             count.used = change.applied_to(count.used);
///             books.counts.insert(key(counter), count);
///         }
///         Answer::Ready(Ok(()))
///     }
/// }
///
/// impl Settle for Shared {
///     fn settle(&self, id: HoldId, spent: Spent) {
///         let mut books = self.books();
///         let Some((keys, units)) = books.holds.remove(&id) else { return };
///         for (key, measure) in keys {
///             if let Some(count) = books.counts.get_mut(&key) {
///                 count.settle(measure, units, spent);
///             }
///         }
///     }
/// }
///
/// # fn main() -> Result<(), tower_quota::ConfigError> {
/// let quotas = Quotas::builder()
///     .plan(Plan::new("free").feature("remix", [Limit::new(1, Window::Day)]))
///     .store(MapStore::default())
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// It forgets nothing, so it grows without end; [`MemoryStore`] sweeps. It knows no [rolling
/// windows](crate::Window::Rolling): what is used in one stays used. A profile that changes its
/// calendar gets a fresh count. And where there is a [cap on refunds](crate::Limit::max_refunds) it
/// refunds nothing. The example `custom_store` does better, with [`Buckets`](crate::Buckets),
/// [`Counter::window_after`] and [`Refunds`](crate::Refunds).
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Holds units of all counters, or of none.
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>>;

    /// Reads counts at `now`, in the order of the charges, as they are told to whoever is denied
    /// `units` of them. Nothing is written.
    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>>;

    /// Changes what is used, in all of the counters.
    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>>;

    /// Resolves when every settlement that was handed over before is written.
    fn flush(&self) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }

    /// Flushes, and ends whatever the store runs in the background.
    fn shutdown(&self) -> Answer<Result<(), StoreError>> {
        self.flush()
    }
}

/// A store that several engines share.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        (**self).reserve(request)
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        (**self).read(charges, units, now)
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        (**self).change(counters, change, now)
    }

    fn flush(&self) -> Answer<Result<(), StoreError>> {
        (**self).flush()
    }

    fn shutdown(&self) -> Answer<Result<(), StoreError>> {
        (**self).shutdown()
    }
}

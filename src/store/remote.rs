//! A store whose books are kept outside of this process.

mod backlog;
mod backoff;
mod batch;
mod beats;
mod breaker;
mod desk;
mod epochs;
mod inner;
mod lanes;
mod leases;
mod link;
mod offset;
mod options;
mod owed;
mod refund;
mod reserve;
mod settler;
mod share;
mod windows;
mod worker;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use futures::future::FutureExt;

use self::backlog::Backlog;
use self::beats::Beats;
use self::desk::Desk;
use self::inner::Inner;
use self::lanes::Lanes;
use self::leases::Leases;
use self::link::Link;
use self::offset::Offset;
pub use self::options::RemoteOptions;
use self::share::LocalShare;
use self::windows::{Unknown, Windows};
use self::worker::{Ending, Worker};
use super::Store;
use super::answer::Answer;
use super::books::{RemoteBooks, RemoteCharge, RemoteCounter, RemoteReserve};
use super::request::{Change, Charge, Counter, Reserve, Verdict};
use crate::bounds::MAX_UNITS;
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;

/// A [`Store`] of books that are kept outside of this process: in a database, a cache server or a
/// service of your own, of which [`RemoteBooks`] says how to ask it.
///
/// All clones are one store.
///
/// # Books in a database of your own
///
/// Implement [`RemoteBooks`]: nine verbs, each one transaction or script. Then
///
/// ```
/// use std::time::Duration;
///
/// use tower_quota::store::{Remote, RemoteBooks, RemoteOptions};
/// use tower_quota::{ConfigError, Limit, Plan, Quotas, Window};
///
/// fn engine(books: impl RemoteBooks) -> Result<Quotas, ConfigError> {
///     let options = RemoteOptions::new()
///         .timeout(Duration::from_millis(250))
///         .sweep_every(Duration::from_secs(60));
///     Quotas::builder()
///         .plan(Plan::new("free").feature("remix", [Limit::new(3, Window::Day)]))
///         .store(Remote::new(books, options))
///         .build()
/// }
/// ```
///
/// and before the program ends, when the server has stopped, `quotas.shutdown().await`.
///
/// What has to be right in the books, because nobody else can see to it:
///
/// - *One clock*: the database's own. Read it once all locks are held, and check
///   [`not_after`](super::RemoteReserve::not_after) then: a reservation that waited for a lock may
///   have been given up.
/// - *The order of locks*: counters, sorted by [`key`](super::RemoteCounter::key), then holds; the
///   same in every verb, or two of them wait for each other.
/// - *A hold is a record of its own*, with its units, its deadline and how it lapses. A settlement
///   deletes it, and changes the counters only if there was something to delete, in one
///   transaction. So it may be sent twice.
/// - *Lapsing needs nobody to act*: a hold past its deadline does not count as held, whoever reads
///   or reserves. Its record stays for [`keep`](super::Lease::keep) after that.
/// - *What is transient*: a lost connection, a server that starts, a deadlock. What is not: a
///   refused password. Transient failures are tried again and open the circuit, see below.
/// - *Any call may be dropped* while it waits. A connection on which an answer is still to come
///   must not be used for another call.
///
/// What is not for the books to do, because it is done here:
///
/// | | |
/// |---|---|
/// | time-outs | every call ends after [`timeout`](RemoteOptions::timeout), with a transient error |
/// | refunds | decided in the background before they are settled: they are held of counters of their own, with the [cap](crate::Limit::max_refunds) as ceiling, up to 64 at a time; where an eighth of the queue waits for that, the next ones are charged |
/// | settling | handed over without waiting; written in the background in batches of up to 256, up to four at a time, each 4 ms after the one before unless it is of 64, somebody [flushes](Store::flush), or it is of a limit on what is in flight; and again until it is written or its hold forgotten |
/// | leases | renewed in batches after a third of their length, as long as a hold is open |
/// | lost answers | a hold whose reservation failed or was dropped is released once it cannot be made any more |
/// | clocks | the books' clock is learned from their verdicts; it may differ from the engine's by any amount |
/// | changes | numbered, so that one that is sent twice happens once |
/// | an outage | after five failures in a row that mean that the books are away, the circuit opens: calls fail at once, and the background asks for the [`time`](RemoteBooks::time), once a second at most, until there is an answer |
///
/// # What can still go wrong
///
/// - A settlement that is lost, because the [queue](RemoteOptions::queue) is full, the runtime ends
///   or the books are away for longer than they keep a hold, leaves its hold to
///   [lapse](RemoteOptions::lapse). [`flush`](Store::flush) and [`shutdown`](Store::shutdown) say
///   how many were.
/// - A change that was dropped while it waited, or that failed, may have happened.
/// - An outage that outlasts a lease lets holds lapse whose requests are still running. A later
///   settlement corrects that, even above the amount.
///
/// # Runtime
///
/// It needs tokio, with timers: calls are to be awaited there and fail elsewhere. A hold may be
/// settled or dropped anywhere. One task works in the background; it ends after
/// [`shutdown`](Store::shutdown), or once the store and all its holds are gone and what they left
/// is written or given up.
pub struct Remote<B>(Arc<Inner<B>>);

impl<B: RemoteBooks> Remote<B> {
    /// Makes a store of `books`, and spawns the task that works in the background.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without timers.
    #[must_use]
    pub fn new(books: B, options: RemoteOptions) -> Self {
        let lease = books.lease();
        let beats = Arc::new(Beats::of(lease.length));
        let leases = Arc::new(Leases::new(lease.length, &beats));
        let backlog = Arc::new(Backlog::new(options.queue));
        let link = Arc::new(Link::new(books, options.timeout));
        let share = options.share.map(|parts| Arc::new(LocalShare::new(parts, options.queue)));
        let offset = Arc::new(Offset::new());
        let worker = Worker {
            link: link.clone(),
            leases: leases.clone(),
            beats: beats.clone(),
            offset: offset.clone(),
            share: share.clone(),
            sweep_every: options.sweep_every,
            backlog: Ending(backlog.clone()),
        };
        tokio::spawn(worker.run(beats.timer()));
        let desk = Arc::new(Desk { backlog, leases, beats });
        Self(Arc::new(Inner {
            link,
            desk,
            lanes: Lanes::new(),
            offset,
            share,
            windows: Windows::new(),
            options,
        }))
    }

    /// The books.
    #[must_use]
    pub fn books(&self) -> &B {
        &self.0.link.books
    }

    /// Counters in the windows that count at `now`, and those whose windows have to be asked for.
    fn placed(
        &self,
        counters: &[Counter<'_>],
        now: Timestamp,
    ) -> (Vec<RemoteCounter>, Vec<Unknown>) {
        let mut unknown = Vec::new();
        let place = |counter| self.0.windows.place(counter, now, &mut unknown);
        (counters.iter().enumerate().map(place).collect(), unknown)
    }

    /// Charges to them.
    fn placed_charges<C: FromIterator<RemoteCharge>>(
        &self,
        charges: &[Charge<'_>],
        now: Timestamp,
    ) -> (C, Vec<Unknown>) {
        let mut unknown = Vec::new();
        let place = |(index, charge): (usize, &Charge<'_>)| RemoteCharge {
            counter: self.0.windows.place((index, &charge.counter), now, &mut unknown),
            ceiling: charge.ceiling,
            refunds: charge.refunds,
        };
        (charges.iter().enumerate().map(place).collect(), unknown)
    }

    /// Deletes what nobody will miss, at most so many records, and says how many it deleted. To be
    /// called now and then where [`sweep_every`](RemoteOptions::sweep_every) is not set.
    ///
    /// # Errors
    ///
    /// The books failed to, or did not answer in time.
    pub async fn sweep(&self, at_most: u32) -> Result<u32, StoreError> {
        self.0.link.sweep(at_most).await
    }
}

impl<B> Clone for Remote<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: fmt::Debug> fmt::Debug for Remote<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("books", &self.0.link.books)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

impl<B: RemoteBooks> Store for Remote<B> {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        if self.0.desk.backlog.has_ended() {
            return Answer::Ready(Err(StoreError::permanent("reserve", ShutDown)));
        }
        let (inner, now, units) = (self.0.clone(), request.now, request.units);
        if units > MAX_UNITS {
            let (charges, unknown): (Vec<_>, _) = self.placed_charges(request.charges, now);
            return Answer::Pending(
                async move { inner.deny(charges, units, &unknown, now).await }.boxed(),
            );
        }
        let (charges, unknown) = self.placed_charges(request.charges, now);
        let request = RemoteReserve {
            id: request.id,
            charges,
            units,
            lapse: inner.options.lapse,
            not_after: inner.offset.estimate(now).saturating_add(inner.link.timeout),
            // As far as the estimate may be wrong: by the time that an answer took, where a window had
            // to be opened before.
            patience: inner.link.timeout.saturating_mul(3),
        };
        if let Err(error) = inner.link.breaker.check("reserve") {
            return Answer::Ready(inner.share_of(&request, &unknown, now, error));
        }
        Answer::Pending(async move { inner.reserve(request, unknown, now).await }.boxed())
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        let (charges, unknown): (Vec<_>, _) = self.placed_charges(charges, now);
        let inner = self.0.clone();
        Answer::Pending(async move { inner.read(charges, units, &unknown, now).await }.boxed())
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        let (counters, unknown) = self.placed(counters, now);
        let inner = self.0.clone();
        let changed = async move { inner.change(counters, unknown, change, now).await };
        Answer::Pending(changed.boxed())
    }

    fn flush(&self) -> Answer<Result<(), StoreError>> {
        let (inner, mark) = (self.0.clone(), self.0.desk.backlog.mark());
        Answer::Pending(async move { inner.flush(mark).await }.boxed())
    }

    fn shutdown(&self) -> Answer<Result<(), StoreError>> {
        let (inner, mark) = (self.0.clone(), self.0.desk.backlog.mark());
        Answer::Pending(async move { inner.shut_down(mark).await }.boxed())
    }
}

/// The background work has ended, and nobody would settle what is held.
#[derive(Debug)]
struct ShutDown;

impl fmt::Display for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was shut down, or its runtime was")
    }
}

impl StdError for ShutDown {}

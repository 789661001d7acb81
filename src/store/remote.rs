//! A store whose books are kept outside of this process.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use futures::future::FutureExt;

use super::Store;
use super::answer::Answer;
use super::backlog::{Backlog, Mark};
use super::beats::Beats;
use super::books::{Held, RemoteBooks, RemoteCharge, RemoteCounter, RemoteReserve, RemoteVerdict};
use super::desk::{Desk, OpenHold};
use super::hold::Hold;
use super::lanes::Lanes;
use super::leases::Leases;
use super::link::{Link, within};
use super::offset::Offset;
use super::request::{Change, Counter, Reserve, Verdict};
use super::terms::RemoteOptions;
use super::worker::{Ending, Worker};
use crate::bounds::MAX_UNITS;
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
use crate::limits::ProfileId;

/// A [`Store`] of any [`RemoteBooks`].
pub struct Remote<B>(Arc<Inner<B>>);

struct Inner<B> {
    link: Arc<Link<B>>,
    desk: Arc<Desk>,
    lanes: Lanes,
    offset: Offset,
    options: RemoteOptions,
}

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
        let worker = Worker {
            link: link.clone(),
            leases: leases.clone(),
            beats: beats.clone(),
            sweep_every: options.sweep_every,
            backlog: Ending(backlog.clone()),
        };
        tokio::spawn(worker.run(beats.timer()));
        let desk = Arc::new(Desk { backlog, leases, beats });
        Self(Arc::new(Inner { link, desk, lanes: Lanes::new(), offset: Offset::new(), options }))
    }

    /// The books.
    #[must_use]
    pub fn books(&self) -> &B {
        &self.0.link.books
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

/// All clones are one store.
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
        if let Err(error) = self.0.link.breaker.check("reserve") {
            return Answer::Ready(Err(error));
        }
        let charges = request.charges.iter().map(|charge| RemoteCharge {
            counter: counter(request.scope, &charge.counter),
            ceiling: charge.ceiling,
        });
        let charges: Arc<[RemoteCharge]> = charges.collect();
        let inner = self.0.clone();
        if request.units > MAX_UNITS {
            return Answer::Pending(async move { inner.deny(&charges).await }.boxed());
        }
        let now = request.now;
        let request = RemoteReserve {
            id: request.id,
            charges,
            units: request.units,
            lapse: inner.options.lapse,
            not_after: inner.not_after(inner.offset.estimate(now)),
            patience: inner.link.timeout.saturating_mul(2),
        };
        Answer::Pending(async move { inner.reserve(request, now).await }.boxed())
    }

    fn read(
        &self,
        scope: &ProfileId,
        counters: &[Counter<'_>],
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        let counters = all(scope, counters);
        let inner = self.0.clone();
        Answer::Pending(async move { inner.link.read(&counters).await }.boxed())
    }

    fn change(
        &self,
        scope: &ProfileId,
        counters: &[Counter<'_>],
        change: Change,
        _now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        let counters = all(scope, counters);
        let (inner, scope) = (self.0.clone(), scope.clone());
        let changed =
            async move { inner.lanes.change(&inner.link, &scope, counters, change).await };
        Answer::Pending(changed.boxed())
    }

    fn flush(&self) -> Answer<Result<(), StoreError>> {
        let (inner, mark) = (self.0.clone(), self.0.desk.backlog.mark());
        Answer::Pending(async move { inner.flush(mark).await }.boxed())
    }

    fn shutdown(&self) -> Answer<Result<(), StoreError>> {
        let (inner, mark) = (self.0.clone(), self.0.desk.backlog.mark());
        let shut_down = async move {
            let flushed = inner.flush(mark).await;
            inner.desk.backlog.end();
            flushed
        };
        Answer::Pending(shut_down.boxed())
    }
}

impl<B: RemoteBooks> Inner<B> {
    async fn reserve(
        &self,
        mut request: RemoteReserve,
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let (id, charges) = (request.id, request.charges.clone());
        let open = Arc::new(OpenHold::new(self.desk.clone(), id, charges, request.not_after));
        // Made before anybody waits: however this ends, what may have been held is given back.
        let hold = Hold::new(id, open.clone());
        let mut verdict = self.link.reserve(&request).await?;
        if verdict.held == Held::Stale {
            self.offset.correct(now, verdict.now);
            request.not_after = self.not_after(verdict.now);
            open.ask_until(request.not_after);
            verdict = self.link.reserve(&request).await?;
        }
        let RemoteVerdict { held, now: theirs } = verdict;
        match held {
            Held::Granted(counts) => {
                self.offset.learn(now, theirs);
                open.granted();
                Ok(Verdict::Granted(hold, counts))
            }
            Held::Denied(counts) => {
                self.offset.learn(now, theirs);
                hold.void();
                Ok(Verdict::Denied(counts))
            }
            Held::Stale => {
                self.offset.correct(now, theirs);
                hold.void();
                Err(StoreError::transient("reserve", StaleTwice))
            }
        }
    }

    /// The verdict on a request for more than can be held.
    async fn deny(&self, charges: &[RemoteCharge]) -> Result<Verdict, StoreError> {
        let counters: Vec<_> = charges.iter().map(|charge| charge.counter.clone()).collect();
        let counts = self.link.read(&counters).await?;
        Ok(Verdict::Denied(counts.into()))
    }

    async fn flush(&self, mark: Mark) -> Result<(), StoreError> {
        let backlog = &self.desk.backlog;
        let written = backlog.written_before(mark).map(Ok);
        let waited = within("flush", self.options.flush_within, written).await;
        match backlog.missing_before(mark) {
            Some(missing) => Err(StoreError::transient("flush", missing)),
            None => waited,
        }
    }

    /// Until when a request may be executed that is sent at `theirs` of the books' clock.
    fn not_after(&self, theirs: Timestamp) -> Timestamp {
        theirs.saturating_add(self.link.timeout)
    }
}

fn counter(scope: &ProfileId, counter: &Counter<'_>) -> RemoteCounter {
    RemoteCounter { scope: scope.clone(), limit: counter.limit.clone(), window: counter.window }
}

fn all(scope: &ProfileId, counters: &[Counter<'_>]) -> Vec<RemoteCounter> {
    counters.iter().map(|each| counter(scope, each)).collect()
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

/// The books' clock is neither where it was expected nor where they said it was.
#[derive(Debug)]
struct StaleTwice;

impl fmt::Display for StaleTwice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("by the clock of the books it came too late twice, or far too early")
    }
}

impl StdError for StaleTwice {}

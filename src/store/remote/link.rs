//! The way to the books: every call has a time-out, and the breaker hears how it ends.

use std::error::Error as StdError;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::future::FutureExt;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::backoff::pause;
use super::breaker::Breaker;
use crate::count::Count;
use crate::error::StoreError;
use crate::limits::Span;
use crate::store::books::{
    RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteOpening, RemoteReserve,
    RemoteSettlement, RemoteVerdict, Renewal,
};
use crate::store::hold::HoldId;

/// Books, and how it is to call them.
#[derive(Debug)]
pub(super) struct Link<B> {
    pub(super) books: B,
    pub(super) timeout: Duration,
    pub(super) breaker: Breaker,
}

impl<B: RemoteBooks> Link<B> {
    pub(super) fn new(books: B, timeout: Duration) -> Self {
        Self { books, timeout, breaker: Breaker::new() }
    }

    pub(super) async fn reserve(
        &self,
        request: &RemoteReserve,
    ) -> Result<RemoteVerdict, StoreError> {
        self.call("reserve", self.books.reserve(request)).await
    }

    /// The same in the background, of what counts refunds.
    pub(super) async fn refund(
        &self,
        request: &RemoteReserve,
    ) -> Result<RemoteVerdict, StoreError> {
        self.work("refund", self.books.reserve(request)).await
    }

    pub(super) async fn settle(
        &self,
        batch: &[RemoteSettlement],
    ) -> Result<Vec<HoldId>, StoreError> {
        self.work("settle", self.books.settle(batch)).await
    }

    pub(super) async fn renew(&self, batch: &[Renewal]) -> Result<(), StoreError> {
        self.work("renew", self.books.renew(batch)).await
    }

    pub(super) async fn read(
        &self,
        charges: &[RemoteCharge],
        units: u64,
    ) -> Result<Vec<Count>, StoreError> {
        self.call("read", self.books.read(charges, units)).await
    }

    pub(super) async fn change(&self, change: &RemoteChange) -> Result<(), StoreError> {
        self.call("change", self.books.change(change)).await
    }

    pub(super) async fn open(&self, opening: &RemoteOpening) -> Result<Span, StoreError> {
        self.call("open a window", self.books.open(opening)).await
    }

    pub(super) async fn last(
        &self,
        counters: &[RemoteCounter],
    ) -> Result<Vec<Option<Span>>, StoreError> {
        self.call("read windows", self.books.last(counters)).await
    }

    pub(super) async fn sweep(&self, at_most: u32) -> Result<u32, StoreError> {
        self.work("sweep", self.books.sweep(at_most)).await
    }

    /// Looks for books that are away, as long as it is polled: no user's request has to.
    pub(super) async fn probe(&self) {
        loop {
            self.breaker.opened().await;
            sleep(pause(self.breaker.setbacks())).await;
            let answer = within("tell the time", self.timeout, self.books.time()).await;
            self.breaker.hear_probe(&answer);
        }
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.breaker.check(operation)?;
        let answer = within(operation, self.timeout, call).await;
        self.breaker.hear(&answer);
        answer
    }

    /// The same of work in the background. It goes to many counters at a time, of which one may be
    /// out of reach: if it fails, those who ask for others shall not be turned away.
    async fn work<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.breaker.check(operation)?;
        let answer = within(operation, self.timeout, call).await;
        if answer.is_ok() {
            self.breaker.hear(&answer);
        }
        answer
    }
}

/// What `call` answers, or an error after `limit`.
pub(super) async fn within<T>(
    operation: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    if Handle::try_current().is_err() {
        return Err(StoreError::permanent(operation, NoRuntime));
    }
    // A driver that panics must not end the background work, nor a request that could go without.
    match timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(StoreError::permanent(operation, Panicked)),
        Err(_) => Err(StoreError::transient(operation, TimedOut(limit))),
    }
}

/// There was no answer for so long.
#[derive(Debug)]
struct TimedOut(Duration);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer within {:?}", self.0)
    }
}

impl StdError for TimedOut {}

/// The books panicked.
#[derive(Debug)]
struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the books panicked")
    }
}

impl StdError for Panicked {}

/// A call was awaited where there are no timers.
#[derive(Debug)]
struct NoRuntime;

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was not awaited in a tokio runtime")
    }
}

impl StdError for NoRuntime {}

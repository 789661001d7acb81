//! A circuit breaker: books that are away cost one time-out now and then, not one a request.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;

use crate::error::StoreError;

/// How many calls in a row must fail to open the circuit.
const TOLERATED: u32 = 5;

/// Hears how calls to the books end. While the circuit is open, nobody should call.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures in a row, those of probes included. They stay when the circuit closes: the next
    /// failure opens it again, unless a call succeeds before.
    failures: AtomicU32,
    open: watch::Sender<bool>,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { failures: AtomicU32::new(0), open: watch::Sender::new(false) }
    }

    pub(super) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    pub(super) fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_open() { Err(StoreError::transient(operation, CircuitOpen)) } else { Ok(()) }
    }

    /// Hears how a call ended. Late news, of a call from before the circuit opened, say nothing.
    pub(super) fn hear<T>(&self, answer: &Result<T, StoreError>) {
        if self.is_open() {
            return;
        }
        match answer {
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
            Err(error) if means_away(error) => {
                if self.count_failure() >= TOLERATED {
                    self.open.send_replace(true);
                }
            }
            Err(_) => {}
        }
    }

    /// Hears how a probe ended.
    pub(super) fn hear_probe<T>(&self, answer: &Result<T, StoreError>) {
        if answer.is_ok() {
            self.open.send_replace(false);
        } else {
            self.count_failure();
        }
    }

    /// How many times in a row the circuit stayed or became open.
    pub(super) fn setbacks(&self) -> u32 {
        let failures = self.failures.load(Ordering::Relaxed);
        failures.saturating_sub(TOLERATED).saturating_add(1)
    }

    pub(super) async fn opened(&self) {
        self.becomes(true).await;
    }

    pub(super) async fn closed(&self) {
        self.becomes(false).await;
    }

    async fn becomes(&self, state: bool) {
        // It can only fail without a sender, which is here.
        let _ = self.open.subscribe().wait_for(|open| *open == state).await;
    }

    fn count_failure(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

/// Whether the store is away. One that says that a clock lags is there, and what is wrong until
/// somebody acts is not found to be right by waiting.
pub(super) fn means_away(error: &StoreError) -> bool {
    error.is_transient() && !error.is_clock_skew()
}

/// Why a call was not even made.
#[derive(Debug)]
struct CircuitOpen;

impl fmt::Display for CircuitOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the circuit is open: the last calls failed, and the store was not found since")
    }
}

impl StdError for CircuitOpen {}

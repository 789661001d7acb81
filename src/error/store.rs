//! What can go wrong with a store.

use std::error::Error as StdError;
use std::fmt;

use super::BoxError;
use crate::clock::Timestamp;

/// A failure of a store. It is never a denial.
///
/// It says which operation failed, keeps its source, and knows whether trying again may help.
// Boxed, so that an answer that is none is as small as can be.
#[derive(Debug)]
pub struct StoreError(Box<Failure>);

#[derive(Debug)]
struct Failure {
    operation: &'static str,
    kind: Kind,
    source: BoxError,
}

/// What a failure of a store means to whoever might try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Transient,
    Permanent,
    ClockSkew,
}

impl StoreError {
    fn new(operation: &'static str, kind: Kind, source: impl Into<BoxError>) -> Self {
        Self(Box::new(Failure { operation, kind, source: source.into() }))
    }

    /// A failure of `operation` that may pass: a time-out, a lost connection.
    pub fn transient(operation: &'static str, source: impl Into<BoxError>) -> Self {
        Self::new(operation, Kind::Transient, source)
    }

    /// A failure of `operation` that stays until somebody acts: a refused password, a full disk.
    pub fn permanent(operation: &'static str, source: impl Into<BoxError>) -> Self {
        Self::new(operation, Kind::Permanent, source)
    }

    /// The clock lags: it asks for a window that ended at `ended` and has been forgotten.
    #[must_use]
    pub fn clock_skew(ended: Timestamp) -> Self {
        let source =
            format!("the clock is behind: the window that ended at {ended:?} is forgotten");
        Self::new("count", Kind::ClockSkew, source)
    }

    /// The clock is ahead: it asks for a window that starts at `starts`, long after the books' present.
    #[must_use]
    pub fn clock_ahead(starts: Timestamp) -> Self {
        let source = format!("the clock is ahead: the window that starts at {starts:?} is far off");
        Self::new("count", Kind::ClockSkew, source)
    }

    /// The clock was set back, to before a window that starts at `starts` and has been begun.
    pub(crate) fn clock_set_back(starts: Timestamp) -> Self {
        let source =
            format!("the clock was set back: the window that starts at {starts:?} has begun");
        Self::new("count", Kind::ClockSkew, source)
    }

    /// Which operation failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.kind != Kind::Permanent
    }

    /// Whether the store answered, but to a clock that [lags](Self::clock_skew) or is [far
    /// ahead](Self::clock_ahead).
    #[must_use]
    pub fn is_clock_skew(&self) -> bool {
        self.0.kind == Kind::ClockSkew
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the quota store failed to {}", self.0.operation)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0.source)
    }
}

//! Failures of a database, as errors of a store.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use sqlx::error::DatabaseError;

use crate::error::StoreError;

/// A failure of a transaction, which may fail several verbs.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    source: Arc<sqlx::Error>,
    cause: Cause,
}

/// Why a database refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Something that passes.
    Passing,
    /// Something that somebody must put right.
    Lasting,
    /// Nobody has made the tables.
    NoTables,
}

impl Failure {
    /// Judges what the database itself says by `judge`, and the rest by the connection's state.
    pub(crate) fn new(error: sqlx::Error, judge: fn(&dyn DatabaseError) -> Cause) -> Self {
        let cause = match &error {
            sqlx::Error::Database(error) => judge(&**error),
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Cause::Passing,
            _ => Cause::Lasting,
        };
        Self { source: Arc::new(error), cause }
    }

    /// The failure of `operation`.
    pub(crate) fn of(&self, operation: &'static str) -> StoreError {
        let source = self.source.clone();
        match self.cause {
            Cause::Passing => StoreError::transient(operation, source),
            Cause::Lasting => StoreError::permanent(operation, source),
            Cause::NoTables => StoreError::permanent(operation, NoTables(source)),
        }
    }
}

/// What to do about tables that are not there.
#[derive(Debug)]
struct NoTables(Arc<sqlx::Error>);

impl fmt::Display for NoTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tables are not there: call `migrate` once ({})", self.0)
    }
}

impl StdError for NoTables {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

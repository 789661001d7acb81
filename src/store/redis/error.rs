//! What an error of Redis means to a caller.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::error::StoreError;

/// A failure of `operation`. Redis's own errors name addresses and keys, never credentials.
pub(super) fn failed(operation: &'static str) -> impl Fn(RedisError) -> StoreError {
    move |error| {
        if is_transient(&error) {
            StoreError::transient(operation, error)
        } else {
            StoreError::permanent(operation, error)
        }
    }
}

/// Whether the error may pass without anybody changing what is configured.
pub(super) fn is_transient(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io => !matches!(
            io_kind(error),
            // A certificate that is not trusted is invalid data, too.
            Some(io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied)
        ),
        // The connection was cut in the middle of an answer.
        ErrorKind::Parse
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::NoScript
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => true,
        // "max number of clients reached" has no code of its own.
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            error.detail().is_some_and(|detail| detail.contains("max number of"))
        }
        _ => matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY")),
    }
}

fn io_kind(error: &RedisError) -> Option<io::ErrorKind> {
    let source = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    source.downcast_ref::<io::Error>().map(io::Error::kind)
}

/// Whether the connection must not be used again: it is broken, stuck, or leads to a server that is
/// no longer the primary.
pub(super) fn spoils_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

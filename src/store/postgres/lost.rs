//! What is known of a statement whose connection was lost.

use std::io;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Whether the server has ended the connection, and said so.
pub(super) fn was_ended(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|it| matches!(it.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether the connection was lost, and it is certain that the statement was not done and will not
/// be: the server has ended it with a word, or had closed it before it got all of the statement,
/// whose end commits it. After any other loss the statement may be under way, and whoever sent it
/// again and settled it could be overtaken by it.
pub(super) fn was_undone(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::BrokenPipe,
        sqlx::Error::Database(error) => was_ended(&**error),
        _ => false,
    }
}

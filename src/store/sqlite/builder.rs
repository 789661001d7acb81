//! Opening an SQLite file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::time::sleep;

use super::SqliteBooks;
use super::statements::Statements;
use super::writer::{Writer, failure, is_locked};
use crate::clock::{Clock, SystemClock};
use crate::error::StoreError;
use crate::store::books::Lease;
use crate::store::sql::sweep::Cursor;
use crate::store::sql::tables::{PREFIX, Tables};

/// How long a locked file is waited for, unless somebody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long opening a connection may take, apart from locks.
const OPENING: Duration = Duration::from_secs(5);

/// How long to wait until a locked file is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// How much of the file a connection keeps at hand at most: 16 MB. With SQLite's 2, what a crash leaves
/// of 100,000 holds would be read from the file each time.
const CACHE: &str = "-16000";

/// How many calls can read at once.
const READERS: u32 = 4;

/// How [`SqliteBooks`] are opened.
#[derive(Debug)]
#[must_use = "a builder does nothing until it connects"]
pub struct SqliteBooksBuilder {
    source: Source,
    prefix: String,
    lease: Lease,
    clock: Box<dyn Clock>,
    timeout: Duration,
}

/// Where the connections come from.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Pool(SqlitePool),
}

impl SqliteBooksBuilder {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            prefix: PREFIX.to_owned(),
            lease: Lease::default(),
            clock: Box::new(SystemClock),
            timeout: TIMEOUT,
        }
    }

    /// What the names of the tables start with: up to 32 of `a-z`, `0-9` and `_`, a digit not first;
    /// `quota_` by default. Books with different prefixes can lie in one file.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long holds live.
    pub fn lease(mut self, lease: Lease) -> Self {
        self.lease = lease;
        self
    }

    /// The books' clock, for SQLite has none: the system's by default. All processes that share the
    /// file need the same.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// How long to wait for a file that another process has locked; 5 seconds by default. The
    /// connections of a given pool wait as long as they were told.
    ///
    /// A [`Remote`](crate::store::Remote) gives up after its own
    /// [time-out](crate::store::RemoteOptions::timeout), a second unless told otherwise: to wait for the
    /// file as long as this, tell it as much.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    ///
    /// A bad [prefix](Self::prefix), or a file that cannot be opened.
    pub async fn connect(self) -> Result<SqliteBooks, StoreError> {
        let tables = Tables::new(None, self.prefix)?;
        let (writer, readers) = match self.source {
            Source::File(path) => open(path, self.timeout).await?,
            Source::Pool(pool) => (pool.clone(), pool),
        };
        Ok(SqliteBooks {
            readers,
            schema: tables.define(include_str!("../sql/sqlite.sql")),
            writer: Arc::new(Writer {
                pool: writer,
                statements: Statements::new(&tables),
                lease: self.lease,
                clock: self.clock,
            }),
            line: Arc::default(),
            cursor: Cursor::default(),
        })
    }
}

/// A pool of one connection to write, and one to read.
async fn open(path: PathBuf, timeout: Duration) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        // Readers do not wait for the writer.
        .journal_mode(SqliteJournalMode::Wal)
        // What was answered outlives a loss of power.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(timeout)
        .pragma("cache_size", CACHE)
        .disable_statement_logging();
    let pool = |most| {
        SqlitePoolOptions::new()
            .max_connections(most)
            // A file does not hang up.
            .test_before_acquire(false)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(timeout.saturating_add(OPENING))
    };
    let fail = |error| failure(error).of("connect");
    let writer = connect(pool(1), &options, timeout).await.map_err(fail)?;
    let readers = connect(pool(READERS), &options, timeout).await.map_err(fail)?;
    Ok((writer, readers))
}

/// Connects. Where several do so that switch a new file to its journal, SQLite does not wait by
/// itself.
async fn connect(
    pool: SqlitePoolOptions,
    options: &SqliteConnectOptions,
    timeout: Duration,
) -> sqlx::Result<SqlitePool> {
    let over = sleep(timeout);
    tokio::pin!(over);
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if is_locked(&error) => tokio::select! {
                biased;
                () = &mut over => return Err(error),
                () = sleep(PAUSE) => {}
            },
            connected => return connected,
        }
    }
}

//! Connecting to a PostgreSQL database.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use super::PostgresBooks;
use super::session::{Begins, Session, failure, server_timeout};
use super::short_way::ShortWay;
use super::statements::Statements;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::store::books::Lease;
use crate::store::sql::sweep::Cursor;
use crate::store::sql::tables::{PREFIX, Tables};

/// How long a call may take, unless somebody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long opening the first connection may take at least.
const OPENING: Duration = Duration::from_secs(5);

/// Rows are always found by their keys. What the server has planned while a table was small, or was
/// never analysed, would read all of it for a few rows. Nor does it pay to plan a statement again for
/// each length of its arrays.
const BY_KEY: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan";

/// How [`PostgresBooks`] are connected to.
#[must_use = "a builder does nothing until it connects"]
pub struct PostgresBooksBuilder {
    source: Source,
    schema: Option<String>,
    prefix: String,
    lease: Lease,
    clock: Option<Box<dyn Clock>>,
    timeout: Duration,
    connections: u32,
}

/// Where the connections come from.
pub(super) enum Source {
    Url(String),
    Pool(PgPool),
}

impl PostgresBooksBuilder {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            schema: None,
            prefix: PREFIX.to_owned(),
            lease: Lease::default(),
            clock: None,
            timeout: TIMEOUT,
            connections: 10,
        }
    }

    /// The schema that the tables are in, which has to be there: 1 to 63 ASCII letters, digits and
    /// `_`. By default the connection's search path decides.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// What the names of the tables start with: up to 32 of `a-z`, `0-9` and `_`, a digit not first;
    /// `quota_` by default.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long holds live.
    pub fn lease(mut self, lease: Lease) -> Self {
        self.lease = lease;
        self
    }

    /// A clock instead of the server's. All processes that share the books need the same.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// How long callers wait for an answer, for a connection too; 1 second by default. A connection
    /// that does not answer in time is closed. The server gives a statement up when three quarters
    /// of that are over.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many connections to open at most; 10 by default. A given pool decides for itself.
    pub fn connections(mut self, most: u32) -> Self {
        self.connections = most;
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// A bad [prefix](Self::prefix) or [schema](Self::schema), or a server that cannot be reached
    /// or refuses. None of them shows the password.
    pub async fn connect(self) -> Result<PostgresBooks, StoreError> {
        let tables = Tables::new(self.schema, self.prefix)?;
        let pool = match self.source {
            Source::Url(url) => open(&url, self.timeout, self.connections).await,
            Source::Pool(pool) => Ok(pool),
        };
        Ok(PostgresBooks {
            session: Arc::new(Session {
                pool: pool.map_err(|error| failure(error).of("connect"))?,
                statements: Statements::new(&tables),
                lease: self.lease,
                clock: self.clock,
                begins: Begins::new(self.timeout),
                timeout: self.timeout,
            }),
            short_way: ShortWay::default(),
            rush: Arc::default(),
            tables,
            cursor: Cursor::default(),
        })
    }
}

impl fmt::Debug for PostgresBooksBuilder {
    /// Without the URL, for it may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBooksBuilder")
            .field("schema", &self.schema)
            .field("prefix", &self.prefix)
            .field("lease", &self.lease)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

async fn open(url: &str, timeout: Duration, connections: u32) -> sqlx::Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let millis = server_timeout(timeout);
    // Whatever the database's defaults are.
    let settings = format!(
        "SET statement_timeout = {millis}; SET lock_timeout = {millis}; {BY_KEY}; \
         SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"
    );
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        // A question of one's own before each statement would double what it takes.
        .test_before_acquire(false)
        .acquire_timeout(timeout.max(OPENING))
        .after_connect(move |connection, _| {
            let settings = AssertSqlSafe(settings.clone());
            Box::pin(async move { connection.execute(sqlx::raw_sql(settings)).await.map(drop) })
        });
    pool.connect_with(options.disable_statement_logging()).await
}

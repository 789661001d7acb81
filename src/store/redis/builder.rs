//! How to connect to Redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::RedisBooks;
use super::check::{check_scripts, warnings};
use super::error::failed;
use super::keys::{Keys, Tag};
use super::place::Place;
use super::script::Scripts;
use super::session::Session;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::store::books::Lease;

/// Collects what [`RedisBooks`] are to be like.
#[must_use = "it does nothing until `connect`"]
pub struct RedisBooksBuilder {
    place: Place,
    prefix: String,
    tag: Tag,
    lease: Lease,
    timeout: Duration,
    clock: Option<Box<dyn Clock>>,
}

impl RedisBooksBuilder {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            prefix: "quota:".to_owned(),
            tag: Tag::Scope,
            lease: Lease::default(),
            timeout: Duration::from_millis(250),
            clock: None,
        }
    }

    /// What all keys begin with. `quota:` unless told otherwise. It must not contain `{` or `}`,
    /// which would put all keys of a Cluster into one slot.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Puts what belongs to one tenant into one slot of a Cluster: the counts of its profiles beside
    /// its own, so that a reservation of both is one script, and exact. Without it each profile has a
    /// slot of its own, which spreads a large tenant over the Cluster.
    ///
    /// All who share the books must say the same, and a profile that moves to another tenant starts
    /// fresh counts.
    pub fn tenant_slots(mut self) -> Self {
        self.tag = Tag::Tenant;
        self
    }

    /// How long holds live. 60 seconds, and 15 minutes more on record, unless told otherwise. All
    /// who share the books must say the same.
    pub fn lease(mut self, lease: Lease) -> Self {
        self.lease = lease;
        self
    }

    /// How long to wait for a connection, and how long for an answer. 250 milliseconds unless told
    /// otherwise. Sentinels are given the client's own time: a second to connect, half of one to answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Tells the time instead of the server, for tests that drive leases. All who share the books
    /// must share the clock. Keys still expire by the server's own clock, an hour later than needed:
    /// a clock that stands still for longer than that loses them.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Connects, and tries whether scripts run.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if a URL or the prefix is malformed, the server cannot be reached or is
    /// older than Redis 7, or credentials are refused.
    pub async fn connect(self) -> Result<RedisBooks, StoreError> {
        let Some(keys) = Keys::new(self.prefix, self.tag) else {
            return Err(StoreError::permanent("connect", "the prefix of keys contains a brace"));
        };
        let connection = self.place.connection(self.timeout).await.map_err(failed("connect"))?;
        let scripts = Scripts::new();
        check_scripts(&scripts, &keys, &connection).await.map_err(failed("connect"))?;
        let warnings = warnings(&connection).await;
        let runtime = Handle::current();
        let (lease, clock) = (self.lease, self.clock);
        let session = Session { connection, runtime, scripts, keys, lease, clock };
        Ok(RedisBooks { session: Arc::new(session), line: Arc::default(), warnings })
    }
}

impl fmt::Debug for RedisBooksBuilder {
    /// Without URLs, which may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBooksBuilder")
            .field("prefix", &self.prefix)
            .field("tag", &self.tag)
            .field("lease", &self.lease)
            .field("timeout", &self.timeout)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

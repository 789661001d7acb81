//! Books in Redis or Valkey.

mod builder;
mod check;
mod connection;
mod count;
mod error;
mod group;
mod keys;
mod line;
mod packed;
mod place;
mod reply;
mod reserve;
mod script;
mod session;
mod settle;
mod turns;
mod windows;

use std::fmt;
use std::sync::Arc;

pub use self::builder::RedisBooksBuilder;
use self::error::failed;
use self::line::Line;
use self::place::Place;
use self::session::Session;
use super::books::{
    Lease, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteOpening, RemoteReserve,
    RemoteSettlement, RemoteVerdict, Renewal,
};
use super::hold::HoldId;
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
use crate::limits::Span;

/// Books in Redis 7 or later, or Valkey: one server, a primary that Sentinels name, or a Cluster.
///
/// ```no_run
/// use tower_quota::store::RedisBooks;
///
/// # async fn connect() -> Result<(), tower_quota::StoreError> {
/// let books = RedisBooks::builder("redis://:secret@localhost/0").connect().await?;
/// for warning in books.warnings() {
///     eprintln!("{warning}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// Each operation is one script, which the server executes as a whole. Keys expire when nothing in them
/// can matter any more: nothing has to be swept.
///
/// On one server, a reservation that comes while four calls of this process are under way waits until
/// one of them is over, and then shares a call with the others that wait. Each is judged by itself.
///
/// A script purges a thousand holds that have lapsed, and those of the same deadline as the last of them.
/// Where a crash has left more behind, a call takes several scripts, so that nobody is denied because of
/// them; also one that only reads, for which the server has to take writes then. The counts that come
/// with a grant may still have some of them as held.
///
/// # Space
///
/// In bytes, of memory:
///
/// | | window | rolling |
/// |---|---|---|
/// | a counter | 230 | 290 to 560, by how many of its steps it is used in |
/// | its first hold in flight | 40 | 210 to 290 |
/// | its second | 240 | 50 to 100 |
/// | each further one | 50 to 65 | 65 to 120 |
/// | the same, where more than 120 are in flight at once | 220 | 230 |
///
/// Once it has [lapsed](Lease), or been renewed, a first hold takes what a second one does. What has been
/// [recorded](crate::Quotas::record), or changed by an operator, takes 30 to 80 more for each process that
/// did so within a day. A limit that [follows the profile's
/// calendar](crate::Limit::profile_calendar) takes 230 more for its last window.
///
/// Measured with Redis 7.0 as the growth of `used_memory`, by 10,000 counters of profiles whose ids have
/// seven bytes and up to three holds of each, up to 240 holds of each of a hundred, and 10,000 of one.
///
/// # What Redis cannot promise
///
/// A limit is exact as long as Redis remembers what it has acknowledged. It forgets
///
/// - **on a restart** what it had not saved. Without persistence that is everything; with
///   `appendonly yes` and `appendfsync everysec` it is the last second or two; with
///   `appendfsync always`, nothing.
/// - **on a failover** what the replica that takes over had not received: replication does not wait.
///   `min-replicas-to-write 1` with `min-replicas-max-lag 1` (or 2) lets a primary that has lost its
///   replicas refuse writes rather than take writes that will be forgotten. It bounds the loss to
///   what was written in that time; it does not make it none. `WAIT` would tell after each write
///   how many replicas have it: a round trip more for each request, and a failover may still
///   promote a replica that has not. These books do not use it.
/// - **when it evicts** keys. Set `maxmemory-policy noeviction`; with another policy there is a
///   [warning](Self::warnings). If only the deadlines of a counter's holds go, their units stay held
///   until a moment in which no other hold is in flight. A server that is out of memory then refuses to hold units, which is
///   a failure and not a denial, and still settles and renews what is held.
///
/// What was forgotten can be granted once more, and that is all: settling a forgotten hold changes
/// nothing, no count is ever negative, and, evicted deadlines apart, nobody is denied because of it. Where
/// a limit is worth more than that, keep it in a database that makes every write durable.
///
/// # A Cluster
///
/// Where the counts of one request lie in different slots, no script reaches all of them: they are
/// held one slot after the other, and given back when a later one has no room. Somebody else may
/// be denied in between by units that are about to come back. A slot that has moved is
/// followed; while it is on its way, what has not arrived yet is a transient failure.
///
/// # Clocks
///
/// Leases run by the clock of the server, on a Cluster by that of each node: keep the nodes'
/// clocks together. Windows are the callers' affair. A caller whose clock lags so far that it asks
/// for a window that ended [`keep`](Lease::keep) ago gets an error.
///
/// # Access
///
/// A user of an access control list needs `+evalsha +eval +time +hget +hmget +hset +hdel +hrandfield
/// +zadd +zrem +zscore +zmscore +zrangebyscore +pexpire +pttl` on the keys below the [prefix](RedisBooksBuilder::prefix),
/// in a database other than 0 `+select` too, on a Cluster `+cluster|slots`, and on a primary that
/// Sentinels name `+role`; with `+config|get` the warnings are complete, on a Cluster of one node.
pub struct RedisBooks {
    session: Arc<Session>,
    line: Arc<Line>,
    warnings: Vec<String>,
}

impl RedisBooks {
    /// Books on one server: `redis://user:password@host:port/database`, with `rediss` for TLS, or
    /// `unix:///path?db=0&user=…&pass=…` for a socket.
    pub fn builder(url: impl Into<String>) -> RedisBooksBuilder {
        RedisBooksBuilder::new(Place::Server { url: url.into() })
    }

    /// Books on the primary that these Sentinels name. `primary` is a URL of which the host is the
    /// name that the Sentinels know it by, and which has its user, password and database:
    /// `redis://:secret@mymaster/0`, with `rediss` if the primary is to be reached over TLS.
    pub fn sentinel(
        sentinels: impl IntoIterator<Item = impl Into<String>>,
        primary: impl Into<String>,
    ) -> RedisBooksBuilder {
        let urls = sentinels.into_iter().map(Into::into).collect();
        RedisBooksBuilder::new(Place::Sentinel { urls, primary: primary.into() })
    }

    /// Books on a Cluster, of which these are some nodes.
    pub fn cluster(urls: impl IntoIterator<Item = impl Into<String>>) -> RedisBooksBuilder {
        RedisBooksBuilder::new(Place::Cluster { urls: urls.into_iter().map(Into::into).collect() })
    }

    /// What was found on connecting that an operator should know of.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl RemoteBooks for RedisBooks {
    fn lease(&self) -> Lease {
        self.session.lease
    }

    async fn reserve(&self, request: &RemoteReserve) -> Result<RemoteVerdict, StoreError> {
        self.session.clone().reserve_in_turn(&self.line, request).await
    }

    async fn settle(&self, batch: &[RemoteSettlement]) -> Result<Vec<HoldId>, StoreError> {
        self.session.settle_all(batch).await
    }

    async fn renew(&self, batch: &[Renewal]) -> Result<(), StoreError> {
        self.session.renew_all(batch).await
    }

    async fn read(&self, charges: &[RemoteCharge], units: u64) -> Result<Vec<Count>, StoreError> {
        self.session.read_all(charges, units).await
    }

    async fn change(&self, change: &RemoteChange) -> Result<(), StoreError> {
        self.session.change_all(change).await
    }

    async fn open(&self, opening: &RemoteOpening) -> Result<Span, StoreError> {
        self.session.open(opening).await
    }

    async fn last(&self, counters: &[RemoteCounter]) -> Result<Vec<Option<Span>>, StoreError> {
        self.session.last(counters).await
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        if let Some(clock) = &self.session.clock {
            return Ok(clock.now());
        }
        let time = self.session.connection.query(&redis::cmd("TIME")).await;
        let (seconds, micros): (i64, i64) = time.map_err(failed("tell the time"))?;
        let millis = seconds.saturating_mul(1_000).saturating_add(micros.div_euclid(1_000));
        Ok(Timestamp::from_millis(millis))
    }

    /// Nothing: keys expire.
    async fn sweep(&self, _at_most: u32) -> Result<u32, StoreError> {
        Ok(0)
    }
}

impl fmt::Debug for RedisBooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBooks")
            .field("keys", &self.session.keys)
            .field("lease", &self.session.lease)
            .field("clock", &self.session.clock)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

//! Connections that all calls share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult,
    ServerErrorKind,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::spoils_connection;

/// How many commands wait for the socket before callers wait themselves.
const QUEUED_COMMANDS: usize = 1_000;

/// How many calls in a row may give up waiting until the connection is thought to be stuck.
const GIVEN_UP: u32 = 4;

/// A connection that all calls share. It comes back after a failure, and sends nothing twice.
pub(super) enum Connection {
    /// To one server.
    Server(Reconnecting),
    /// To all nodes of a Cluster.
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Server(connection) => connection.query(command).await,
            Self::Cluster(connection) => {
                let mut connection = connection.clone();
                match command.query_async(&mut connection).await {
                    // It was not executed, and the client has learned by now where it belongs.
                    Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
                        command.query_async(&mut connection).await
                    }
                    answer => answer,
                }
            }
        }
    }
}

/// A connection to one server, that may still be on its way: whoever needs it drives it on, and if
/// they give up the next one does.
type Connecting = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

/// A connection to one server that is replaced when it fails.
pub(super) struct Reconnecting {
    source: Arc<Source>,
    connecting: ArcSwap<Connecting>,
    timeout: Duration,
    /// Calls that gave up waiting since the last answer.
    given_up: AtomicU32,
}

impl Reconnecting {
    pub(super) fn new(source: Source, timeout: Duration) -> Self {
        let source = Arc::new(source);
        let connecting = ArcSwap::from_pointee(source.clone().connecting(timeout));
        Self { source, connecting, timeout, given_up: AtomicU32::new(0) }
    }

    /// Waits for the first connection, for as long as it takes to ask all Sentinels.
    pub(super) async fn first(&self) -> RedisResult<()> {
        (**self.connecting.load()).clone().await.map(drop)
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let connecting = self.connecting.load_full();
        let mut connection = match timeout(self.timeout, (*connecting).clone()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                self.replace(&connecting);
                return Err(error);
            }
            // The next call goes on waiting for it: several Sentinels may have to be asked.
            Err(_) => return Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))),
        };
        let mut call = Waiting { connection: self, connecting: &connecting, answered: false };
        let answer = command.query_async(&mut connection).await;
        call.answered = true;
        if answer.as_ref().is_err_and(spoils_connection) {
            self.replace(&connecting);
        }
        answer
    }

    /// Lets the next call connect anew, unless another one has seen to that.
    fn replace(&self, failed: &Arc<Connecting>) {
        let next = Arc::new(self.source.clone().connecting(self.timeout));
        self.connecting.compare_and_swap(failed, next);
    }
}

/// A call that waits for its answer. Its caller may run out of patience before the connection does,
/// each time: that must not keep a connection that is stuck.
struct Waiting<'a> {
    connection: &'a Reconnecting,
    connecting: &'a Arc<Connecting>,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let given_up = &self.connection.given_up;
        if self.answered {
            given_up.store(0, Ordering::Relaxed);
        } else if given_up.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= GIVEN_UP {
            given_up.store(0, Ordering::Relaxed);
            self.connection.replace(self.connecting);
        }
    }
}

/// Where a connection comes from.
pub(super) enum Source {
    /// An address.
    Server(Client),
    /// Whatever primary the Sentinels name.
    Sentinel(Mutex<SentinelClient>),
}

impl Source {
    fn connecting(self: Arc<Self>, timeout: Duration) -> Connecting {
        async move {
            let client = match &*self {
                Self::Server(client) => client.clone(),
                Self::Sentinel(sentinels) => sentinels.lock().await.async_get_client().await?,
            };
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(timeout))
                .set_response_timeout(Some(timeout))
                .set_pipeline_buffer_size(QUEUED_COMMANDS);
            client.get_multiplexed_async_connection_with_config(&config).await
        }
        .boxed()
        .shared()
    }
}

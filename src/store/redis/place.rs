//! Where books can be, and how to get there.

use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
    TlsMode,
};
use rustls::crypto::{CryptoProvider, ring};
use tokio::sync::Mutex;

use super::connection::{Connection, Reconnecting, Source};

/// Where the books are. URLs may hold passwords.
pub(super) enum Place {
    Server { url: String },
    Sentinel { urls: Vec<String>, primary: String },
    Cluster { urls: Vec<String> },
}

impl Place {
    /// A connection to it.
    pub(super) async fn connection(&self, timeout: Duration) -> RedisResult<Connection> {
        let source = match self {
            Self::Server { url } => Source::Server(Client::open(parsed(url, timeout)?)?),
            Self::Sentinel { urls, primary } => {
                Source::Sentinel(Mutex::new(sentinels(urls, primary, timeout)?))
            }
            Self::Cluster { urls } => return cluster(urls, timeout).await,
        };
        let connection = Reconnecting::new(source, timeout);
        connection.first().await?;
        Ok(Connection::Server(connection))
    }
}

async fn cluster(urls: &[String], timeout: Duration) -> RedisResult<Connection> {
    let client = ClusterClientBuilder::new(all_parsed(urls, timeout)?)
        // Only the callers know what may be sent twice, and until when.
        .retries(0)
        .tcp_settings(prompt(timeout))
        .connection_timeout(timeout)
        .response_timeout(timeout)
        .build()?;
    Ok(Connection::Cluster(client.get_async_connection().await?))
}

fn sentinels(urls: &[String], primary: &str, timeout: Duration) -> RedisResult<SentinelClient> {
    let primary = parsed(primary, timeout)?;
    let node = SentinelNodeConnectionInfo::default()
        .set_redis_connection_info(primary.redis_settings().clone())
        .set_tcp_settings(prompt(timeout));
    let (name, node) = match primary.addr() {
        ConnectionAddr::Tcp(name, _) => (name, node),
        ConnectionAddr::TcpTls { host, .. } => (host, node.set_tls_mode(TlsMode::Secure)),
        _ => {
            let reason = "the primary of Sentinels is named by the host of a URL";
            return Err(RedisError::from((ErrorKind::InvalidClientConfig, reason)));
        }
    };
    SentinelClient::build(all_parsed(urls, timeout)?, name, Some(node), SentinelServerType::Master)
}

fn all_parsed(urls: &[String], timeout: Duration) -> RedisResult<Vec<ConnectionInfo>> {
    urls.iter().map(|url| parsed(url, timeout)).collect()
}

fn parsed(url: &str, timeout: Duration) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        offer_cryptography();
    }
    Ok(info.set_tcp_settings(prompt(timeout)))
}

/// Many small commands share a connection: none waits for another to fill its packet.
fn prompt(timeout: Duration) -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    // A peer that is gone without a word breaks the connection, where the system can do that.
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(timeout.saturating_mul(4));
    #[cfg(not(target_os = "linux"))]
    let _ = timeout;
    settings
}

/// The client panics where a program has several providers of cryptography and has chosen none.
fn offer_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // It fails only if somebody else has chosen in the meantime.
        drop(ring::default_provider().install_default());
    }
}

//! Who a request is from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;

use super::head::RequestHead;
use crate::error::ConfigError;
use crate::limits::ProfileId;

/// Finds out who a request is from: a ready-made extractor of this module, or any closure over the
/// request's head.
///
/// ```
/// use tower_quota::{Identity, ProfileId, RequestHead};
///
/// fn first_segment(head: &RequestHead<'_>) -> Option<ProfileId> {
///     let tenant = head.uri.path().split('/').nth(1)?;
///     Some(ProfileId::new(tenant))
/// }
/// fn takes_any(identity: impl Identity) {}
/// takes_any(first_segment);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who a request is from",
    note = "use `HeaderIdentity`, `ExtensionIdentity`, `PeerIp`, `ForwardedIp`, or a closure \
            `Fn(&RequestHead<'_>) -> Option<ProfileId>`"
)]
pub trait Identity: Send + Sync + 'static {
    /// The id; none if the request does not say.
    fn identify(&self, head: &RequestHead<'_>) -> Option<ProfileId>;
}

impl<F> Identity for F
where
    F: Fn(&RequestHead<'_>) -> Option<ProfileId> + Send + Sync + 'static,
{
    fn identify(&self, head: &RequestHead<'_>) -> Option<ProfileId> {
        self(head)
    }
}

/// The value of a header. Only for headers that a client cannot set as it likes: those of a gateway
/// that authenticates, or secrets such as API keys.
///
/// A request with two such headers is from nobody: which of them is true cannot be known.
#[derive(Clone, Debug)]
pub struct HeaderIdentity(HeaderName);

impl HeaderIdentity {
    /// The value of `header`.
    #[must_use]
    pub fn new(header: HeaderName) -> Self {
        Self(header)
    }
}

impl Identity for HeaderIdentity {
    fn identify(&self, head: &RequestHead<'_>) -> Option<ProfileId> {
        let mut values = head.headers.get_all(&self.0).iter();
        let value = values.next()?;
        values.next().is_none().then(|| ProfileId::new(value))
    }
}

/// What an authentication layer outside of this one has put into the request's extensions.
///
/// ```
/// use tower_quota::{ExtensionIdentity, ProfileId};
///
/// #[derive(Clone)]
/// struct User { id: u64 }
///
/// let identity = ExtensionIdentity::new(|user: &User| ProfileId::new(user.id.to_string()));
/// ```
#[derive(Clone)]
pub struct ExtensionIdentity<T>(Arc<dyn Fn(&T) -> ProfileId + Send + Sync>);

impl<T> ExtensionIdentity<T> {
    /// The id that `id` finds in the extension of type `T`.
    pub fn new(id: impl Fn(&T) -> ProfileId + Send + Sync + 'static) -> Self {
        Self(Arc::new(id))
    }
}

impl<T: Send + Sync + 'static> Identity for ExtensionIdentity<T> {
    fn identify(&self, head: &RequestHead<'_>) -> Option<ProfileId> {
        head.extensions.get::<T>().map(|extension| (self.0)(extension))
    }
}

impl<T> fmt::Debug for ExtensionIdentity<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionIdentity").finish_non_exhaustive()
    }
}

/// The address of the peer: of whoever opened the connection, which is a proxy if there is one.
///
/// The id is the address in text. An IPv4-mapped IPv6 address is the IPv4 one, and of other IPv6
/// addresses the first 64 bits count (`2001:db8::/64`), because a subscriber has all the rest.
#[derive(Clone)]
pub struct PeerIp(Arc<FindAddress>);

type FindAddress = dyn Fn(&RequestHead<'_>) -> Option<IpAddr> + Send + Sync;

impl PeerIp {
    /// The peer's address, from an extension that the server puts into each request.
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use tower_quota::PeerIp;
    ///
    /// #[derive(Clone)]
    /// struct Peer(SocketAddr);
    ///
    /// let identity = PeerIp::from_extension(|peer: &Peer| peer.0.ip());
    /// ```
    pub fn from_extension<T: Send + Sync + 'static>(
        address: impl Fn(&T) -> IpAddr + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |head| head.extensions.get::<T>().map(&address)))
    }

    /// The peer's address, from axum's `ConnectInfo<SocketAddr>`.
    #[cfg(feature = "axum")]
    #[must_use]
    pub fn from_connect_info() -> Self {
        use axum::extract::ConnectInfo;
        Self::from_extension(|peer: &ConnectInfo<SocketAddr>| peer.0.ip())
    }

    fn address(&self, head: &RequestHead<'_>) -> Option<IpAddr> {
        (self.0)(head).map(|address| address.to_canonical())
    }
}

impl Identity for PeerIp {
    fn identify(&self, head: &RequestHead<'_>) -> Option<ProfileId> {
        self.address(head).map(address_id)
    }
}

impl fmt::Debug for PeerIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerIp").finish_non_exhaustive()
    }
}

/// The address of the client behind trusted proxies, from `X-Forwarded-For`.
///
/// A proxy appends the address of its own peer. So the list is read from its end, as long as the
/// speaker is a named proxy; the first address that is not one of them is the client's, whatever it
/// claims further left. A peer that is no trusted proxy is the client itself.
///
/// A request in which a trusted proxy's part of the list cannot be read is from nobody.
#[derive(Clone, Debug)]
pub struct ForwardedIp {
    peer: PeerIp,
    trusted: Arc<[IpNet]>,
}

impl ForwardedIp {
    /// The client behind these proxies: addresses (`10.0.0.7`) or networks (`10.0.0.0/8`).
    ///
    /// # Errors
    ///
    /// One of them is neither.
    pub fn behind<P: AsRef<str>>(
        peer: PeerIp,
        proxies: impl IntoIterator<Item = P>,
    ) -> Result<Self, ConfigError> {
        let trusted: Result<_, _> =
            proxies.into_iter().map(|net| parse_net(net.as_ref())).collect();
        let trusted = trusted?;
        Ok(Self { peer, trusted })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&address))
    }
}

impl Identity for ForwardedIp {
    fn identify(&self, head: &RequestHead<'_>) -> Option<ProfileId> {
        let mut speaker = self.peer.address(head)?;
        let values = head.headers.get_all("x-forwarded-for");
        for value in values.iter().rev() {
            for hop in value.as_bytes().rsplit(|byte| *byte == b',') {
                if !self.trusts(speaker) {
                    return Some(address_id(speaker));
                }
                speaker = parse_hop(hop)?;
            }
        }
        Some(address_id(speaker))
    }
}

fn parse_net(text: &str) -> Result<IpNet, ConfigError> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(canonical_net).map_err(|_| ConfigError::BadNetwork { network: text.to_owned() })
}

/// The network as canonical addresses are in it: one of IPv4-mapped addresses is an IPv4 network.
fn canonical_net(net: IpNet) -> IpNet {
    const MAPPED_PREFIX: u8 = 96;
    let IpAddr::V4(address) = net.addr().to_canonical() else {
        return net;
    };
    let length = match net {
        IpNet::V4(net) => Some(net.prefix_len()),
        IpNet::V6(net) => net.prefix_len().checked_sub(MAPPED_PREFIX),
    };
    let canonical = length.and_then(|length| IpNet::new(address.into(), length).ok());
    canonical.unwrap_or(net)
}

/// One entry of the list: an address, some proxies add a port.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let address = hop.parse::<IpAddr>().ok();
    let address = address.or_else(|| hop.parse().ok().map(|peer: SocketAddr| peer.ip()));
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

fn address_id(address: IpAddr) -> ProfileId {
    match address {
        IpAddr::V4(address) => ProfileId::new(address.to_string()),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            let network = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
            ProfileId::new(format!("{network}/64"))
        }
    }
}

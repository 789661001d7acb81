//! Who pays: what a request says about that, and what it may not claim.

mod forwarded;

use std::convert::Infallible;
use std::future::IntoFuture;
use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get as on_get;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    ExtensionIdentity, HeaderIdentity, Identity, MAX_ID_BYTES, PeerIp, Profile, ProfileId,
    QuotaHandle, QuotaLayer, QuotaLayerBuilder, Quotas, RequestHead, ResponseBody, Unidentified,
};

use crate::support::{daily, json, noon, profile, text, used_and_held};

const WHO: HeaderName = HeaderName::from_static("x-who");

/// An address that a server has put into the request's extensions.
#[derive(Clone)]
struct Peer(IpAddr);

fn peer_ip() -> PeerIp {
    PeerIp::from_extension(|peer: &Peer| peer.0)
}

/// The id by which `identity` knows the request.
fn id(identity: &impl Identity, request: &Request<()>) -> Option<String> {
    let id = identity.identify(&RequestHead::of(request))?;
    Some(id.as_str().unwrap().to_owned())
}

fn identified(quotas: &Quotas) -> QuotaLayerBuilder {
    let builder = QuotaLayer::builder(quotas.clone()).feature("remix");
    builder.identify(HeaderIdentity::new(WHO)).plan("free")
}

fn from(who: impl TryInto<HeaderValue, Error: Into<http::Error>>) -> Request<()> {
    Request::builder().header(WHO, who).body(()).unwrap()
}

fn nobody() -> Request<()> {
    Request::new(())
}

/// Sends a request through the layer, to a service that answers 204 if it got a handle, else 200.
async fn send(layer: &QuotaLayer, request: Request<()>) -> Response<ResponseBody<Empty<Bytes>>> {
    let inner = service_fn(async |request: Request<()>| {
        let status = match request.extensions().get::<QuotaHandle>() {
            Some(_) => StatusCode::NO_CONTENT,
            None => StatusCode::OK,
        };
        let response = Response::builder().status(status);
        Ok::<_, Infallible>(response.body(Empty::new()).unwrap())
    });
    layer.layer(inner).oneshot(request).await.unwrap()
}

fn used(quotas: &Quotas, id: impl AsRef<[u8]>) -> u64 {
    used_and_held(quotas, &Profile::new(id, "free")).0
}

#[tokio::test]
async fn each_identity_has_its_own_count() {
    let quotas = daily(&noon(), 1);
    let layer = identified(&quotas).build().unwrap();
    assert_eq!(send(&layer, from("7")).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(send(&layer, from("8")).await.status(), StatusCode::NO_CONTENT);
    let denied = send(&layer, from("7")).await;
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!((used(&quotas, "7"), used(&quotas, "8")), (1, 1));
}

#[tokio::test]
async fn a_header_s_value_is_taken_byte_by_byte() {
    let quotas = daily(&noon(), 5);
    let layer = identified(&quotas).build().unwrap();
    send(&layer, from(&b"J\xF6rg"[..])).await;
    assert_eq!(used(&quotas, b"J\xF6rg"), 1);
    assert_eq!(used(&quotas, b"j\xF6rg"), 0);
}

/// Which of the two a server further in believes is not known: so neither pays for the other.
#[tokio::test]
async fn two_headers_are_nobody() {
    let quotas = daily(&noon(), 5);
    let layer = identified(&quotas).build().unwrap();
    let mut request = from("7");
    request.headers_mut().append(WHO, HeaderValue::from_static("8"));
    let refused = send(&layer, request).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);

    let mut same = from("7");
    same.headers_mut().append(WHO, HeaderValue::from_static("7"));
    assert_eq!(send(&layer, same).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((used(&quotas, "7"), used(&quotas, "8")), (0, 0));
}

#[test]
fn an_extension_of_the_authentication_layer_says_who() {
    #[derive(Clone)]
    struct User {
        number: u64,
    }
    let identity = ExtensionIdentity::new(|user: &User| ProfileId::new(user.number.to_string()));
    let request = Request::builder().extension(User { number: 7 });
    assert_eq!(id(&identity, &request.body(()).unwrap()).as_deref(), Some("7"));
    assert_eq!(id(&identity, &nobody()), None);
}

#[test]
fn a_closure_says_who() {
    let identity = |head: &RequestHead<'_>| head.uri.host().map(ProfileId::new);
    let request = Request::get("http://tenant.example/").body(()).unwrap();
    assert_eq!(id(&identity, &request).as_deref(), Some("tenant.example"));
}

/// The id of somebody with this peer address.
fn peer_id(address: &str) -> String {
    let request = Request::builder().extension(Peer(address.parse().unwrap()));
    id(&peer_ip(), &request.body(()).unwrap()).unwrap()
}

#[test]
fn a_peer_is_known_by_its_address() {
    assert_eq!(peer_id("192.0.2.7"), "192.0.2.7");
    assert_eq!(id(&peer_ip(), &nobody()), None);
}

#[test]
fn an_ipv4_mapped_address_is_the_ipv4_one() {
    assert_eq!(peer_id("::ffff:192.0.2.7"), peer_id("192.0.2.7"));
}

#[test]
fn ipv6_peers_of_one_64_bit_network_are_one() {
    assert_eq!(peer_id("2001:db8:0:1::7"), "2001:db8:0:1::/64");
    assert_eq!(peer_id("2001:db8:0:1::7"), peer_id("2001:db8:0:1:ffff::9"));
    assert_ne!(peer_id("2001:db8:0:1::7"), peer_id("2001:db8:0:2::7"));
}

#[test]
fn a_peer_s_address_may_come_from_axum() {
    let identity = PeerIp::from_connect_info();
    let peer: SocketAddr = "[::ffff:192.0.2.7]:443".parse().unwrap();
    let request = Request::builder().extension(ConnectInfo(peer));
    let id_of_peer = id(&identity, &request.body(()).unwrap());
    assert_eq!(id_of_peer.as_deref(), Some("192.0.2.7"));
    assert_eq!(id(&identity, &nobody()), None);
}

/// Over a real socket: whoever connects from one address is one payer.
#[tokio::test]
async fn a_served_app_knows_its_peers() {
    let quotas = daily(&noon(), 1);
    let builder = QuotaLayer::builder(quotas.clone()).feature("remix");
    let layer = builder.identify(PeerIp::from_connect_info()).plan("free");
    let app = Router::new().route("/", on_get(async || "remixed"));
    let app = app.layer(layer.build().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        text(response).await;
    }
    assert_eq!(used(&quotas, "127.0.0.1"), 1);
}

#[tokio::test]
async fn nobody_is_refused() {
    let quotas = daily(&noon(), 5);
    let layer = identified(&quotas).build().unwrap();
    let refused = send(&layer, nobody()).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let headers = refused.headers();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["cache-control"], "no-store");
    for absent in ["ratelimit", "retry-after", "www-authenticate"] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
    let problem = json(refused).await;
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Unauthorized");
    assert!(problem["detail"].is_string());
}

#[tokio::test]
async fn nobody_is_asked_to_authenticate() {
    let quotas = daily(&noon(), 5);
    let challenge = HeaderValue::from_static("Bearer realm=\"recipes\"");
    let layer = identified(&quotas)
        .unidentified(Unidentified::Challenge(challenge.clone()))
        .build()
        .unwrap();
    let refused = send(&layer, nobody()).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()["www-authenticate"], challenge);
}

#[tokio::test]
async fn nobody_may_pass() {
    let quotas = daily(&noon(), 0);
    let layer = identified(&quotas).unidentified(Unidentified::Pass).build().unwrap();
    let passed = send(&layer, nobody()).await;
    assert_eq!(passed.status(), StatusCode::OK, "there is no handle");
    assert!(!passed.headers().contains_key("ratelimit"));
    let denied = send(&layer, from("7")).await;
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn nobodies_may_share_a_profile() {
    let quotas = daily(&noon(), 2);
    let layer =
        identified(&quotas).unidentified(Unidentified::Profile(profile("guests"))).build().unwrap();
    for status in [204, 204, 429] {
        assert_eq!(send(&layer, nobody()).await.status(), status);
    }
    assert_eq!(used(&quotas, "guests"), 2);
}

#[tokio::test]
async fn a_closure_that_makes_no_profile_leaves_nobody() {
    let quotas = daily(&noon(), 5);
    let layer = QuotaLayer::builder(quotas).feature("remix").profile(|_| None).build().unwrap();
    let refused = send(&layer, nobody()).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

/// An id that is cut short would be somebody else's.
#[tokio::test]
async fn an_id_that_is_too_long_or_empty_is_a_bad_request() {
    let quotas = daily(&noon(), 5);
    let layer = identified(&quotas).build().unwrap();
    let longest = "i".repeat(MAX_ID_BYTES);
    let granted = send(&layer, from(longest.as_str())).await;
    assert_eq!(granted.status(), StatusCode::NO_CONTENT);
    for bad in [format!("{longest}i"), String::new()] {
        let refused = send(&layer, from(bad.as_str())).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert_eq!(json(refused).await["status"], 400);
    }
    assert_eq!(used(&quotas, &longest), 1);
}

#[tokio::test]
async fn refusals_speak_grpc_to_grpc() {
    let quotas = daily(&noon(), 5);
    let layer = identified(&quotas).build().unwrap();
    let too_long = "i".repeat(MAX_ID_BYTES + 1);
    for (mut request, code) in [(nobody(), "16"), (from(too_long.as_str()), "3")] {
        let grpc = HeaderValue::from_static("application/grpc");
        request.headers_mut().insert("content-type", grpc.clone());
        let refused = send(&layer, request).await;
        assert_eq!(refused.status(), StatusCode::OK);
        assert_eq!(refused.headers()["content-type"], grpc);
        assert_eq!(refused.headers()["grpc-status"], code);
        assert!(http_body::Body::is_end_stream(refused.body()));
    }
}

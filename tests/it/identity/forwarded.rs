//! The client behind named proxies: only what they say counts.

use http::{HeaderValue, Request};
use tower_quota::{ConfigError, ForwardedIp};

use super::{Peer, id, peer_ip};

/// Who a request is from, that came from `peer` with these `X-Forwarded-For` lines, where these
/// proxies are trusted.
fn client(proxies: &[&str], peer: &str, lines: &[&str]) -> Option<String> {
    let identity = ForwardedIp::behind(peer_ip(), proxies).unwrap();
    let mut request = Request::builder().extension(Peer(peer.parse().unwrap())).body(()).unwrap();
    for line in lines {
        let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
        request.headers_mut().append("x-forwarded-for", line);
    }
    id(&identity, &request)
}

/// The proxy of most tests, and the network of its kind.
const PROXY: &str = "10.0.0.1";
const NETWORK: &[&str] = &["10.0.0.0/8"];

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_claims() {
    let claims = ["203.0.113.9"];
    assert_eq!(client(NETWORK, "192.0.2.7", &claims).as_deref(), Some("192.0.2.7"));
    assert_eq!(client(&[], PROXY, &claims).as_deref(), Some(PROXY));
    assert_eq!(client(NETWORK, "192.0.2.7", &["garbage"]).as_deref(), Some("192.0.2.7"));
}

#[test]
fn the_client_is_whom_the_trusted_proxy_names() {
    assert_eq!(client(NETWORK, PROXY, &["192.0.2.7"]).as_deref(), Some("192.0.2.7"));
    assert_eq!(client(&[PROXY], PROXY, &["192.0.2.7"]).as_deref(), Some("192.0.2.7"));
}

#[test]
fn what_the_client_claims_before_that_is_ignored() {
    let spoofed = ["203.0.113.9, 192.0.2.7"];
    assert_eq!(client(NETWORK, PROXY, &spoofed).as_deref(), Some("192.0.2.7"));
    let garbage = ["<script>, , 10.0.0.9x, 192.0.2.7"];
    assert_eq!(client(NETWORK, PROXY, &garbage).as_deref(), Some("192.0.2.7"));
}

/// A client that names a trusted address first does not become that proxy.
#[test]
fn a_claim_to_be_a_proxy_is_ignored() {
    let spoofed = ["203.0.113.9, 10.0.0.5, 192.0.2.7"];
    assert_eq!(client(NETWORK, PROXY, &spoofed).as_deref(), Some("192.0.2.7"));
}

#[test]
fn a_chain_of_proxies_is_followed_to_the_first_that_is_none() {
    let chain = ["203.0.113.9, 192.0.2.7, 10.0.0.3, 10.0.0.2"];
    assert_eq!(client(NETWORK, PROXY, &chain).as_deref(), Some("192.0.2.7"));
    let proxies = ["10.0.0.1", "10.0.0.2"];
    assert_eq!(client(&proxies, PROXY, &chain).as_deref(), Some("10.0.0.3"));
}

#[test]
fn several_lines_are_one_list_in_their_order() {
    let lines = ["203.0.113.9", "192.0.2.7, 10.0.0.3", "10.0.0.2"];
    assert_eq!(client(NETWORK, PROXY, &lines).as_deref(), Some("192.0.2.7"));
    // The last line decides, not the first.
    let lines = ["203.0.113.9", "192.0.2.7"];
    assert_eq!(client(NETWORK, PROXY, &lines).as_deref(), Some("192.0.2.7"));
}

#[test]
fn where_all_are_trusted_the_first_is_the_client() {
    assert_eq!(client(NETWORK, PROXY, &["10.0.0.3, 10.0.0.2"]).as_deref(), Some("10.0.0.3"));
    assert_eq!(client(NETWORK, PROXY, &[]).as_deref(), Some(PROXY));
}

/// To charge the proxy instead would let one client use up everybody's quota.
#[test]
fn where_the_proxy_s_own_entry_is_unreadable_it_is_nobody() {
    for garbage in [
        "",
        " ",
        ",",
        "unknown",
        "192.0.2",
        "192.0.2.7.8",
        "192.0.2.7:port",
        "[2001:db8::7",
        "2001:db8::7]",
        "_hidden",
        "192.0.2.7, ",
        "J\u{f6}rg",
    ] {
        assert_eq!(client(NETWORK, PROXY, &[garbage]), None, "{garbage:?}");
    }
}

#[test]
fn ports_and_brackets_are_no_part_of_an_address() {
    for entry in ["192.0.2.7:1234", "  192.0.2.7:65535  ", "[::ffff:192.0.2.7]:80"] {
        assert_eq!(client(NETWORK, PROXY, &[entry]).as_deref(), Some("192.0.2.7"));
    }
    for entry in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:443"] {
        assert_eq!(client(NETWORK, PROXY, &[entry]).as_deref(), Some("2001:db8::/64"));
    }
}

#[test]
fn an_ipv4_mapped_address_is_the_ipv4_one_to_payer_and_proxy_alike() {
    assert_eq!(client(NETWORK, PROXY, &["::ffff:192.0.2.7"]).as_deref(), Some("192.0.2.7"));
    let mapped_proxy = "::ffff:10.0.0.1";
    assert_eq!(client(NETWORK, mapped_proxy, &["192.0.2.7"]).as_deref(), Some("192.0.2.7"));
    let chain = ["192.0.2.7, ::ffff:10.0.0.2"];
    assert_eq!(client(NETWORK, PROXY, &chain).as_deref(), Some("192.0.2.7"));
    assert_eq!(client(&[mapped_proxy], PROXY, &["192.0.2.7"]).as_deref(), Some("192.0.2.7"));
}

#[test]
fn an_ipv4_mapped_network_is_the_ipv4_one() {
    let mapped = ["::ffff:10.0.0.0/104"];
    assert_eq!(client(&mapped, PROXY, &["192.0.2.7"]).as_deref(), Some("192.0.2.7"));
}

#[test]
fn ipv6_proxies_and_clients_are_told_apart_by_their_networks() {
    let proxies = ["2001:db8:aaaa::/48"];
    let peer = "2001:db8:aaaa:1::1";
    let lines = ["2001:db8:bbbb::7, 2001:db8:aaaa:2::1"];
    assert_eq!(client(&proxies, peer, &lines).as_deref(), Some("2001:db8:bbbb::/64"));
}

#[test]
fn a_request_without_a_peer_is_nobody() {
    let identity = ForwardedIp::behind(peer_ip(), NETWORK).unwrap();
    let request = Request::builder().header("x-forwarded-for", "192.0.2.7");
    assert_eq!(id(&identity, &request.body(()).unwrap()), None);
}

#[test]
fn a_proxy_that_is_no_address_is_refused() {
    for bad in ["", "proxy.example", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"] {
        let refused = ForwardedIp::behind(peer_ip(), ["10.0.0.1", bad]);
        let network = bad.to_owned();
        assert_eq!(refused.unwrap_err(), ConfigError::BadNetwork { network });
    }
}

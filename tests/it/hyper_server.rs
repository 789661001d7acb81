//! The example `hyper_server`, as a program over real sockets: the layer without axum.

use http::{Method, Request, StatusCode};
use http_body_util::Full;

use crate::support::programs::{Program, Reply, to};

fn get(path: &str) -> Request<Full<bytes::Bytes>> {
    to(Method::GET, path).body(Full::default()).unwrap()
}

#[tokio::test]
async fn an_address_is_granted_three_requests_over_whatever_connections() {
    let server = Program::start("hyper_server", &[]).await;
    let mut client = server.connect().await;
    for left in [2, 1] {
        let reply = Reply::hear(client.send(get("/hello")).await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(reply.text().contains(&left.to_string()), "{}", reply.text());
        assert!(reply.header("ratelimit").starts_with(&format!("\"day\";r={left};t=")));
    }
    assert_eq!(server.send(get("/hello")).await.status, StatusCode::OK);
    let denied = server.send(get("/hello")).await;
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(denied.header("content-type"), "application/problem+json");
    assert!(denied.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn another_route_is_not_metered() {
    let server = Program::start("hyper_server", &[]).await;
    for _ in 0..5 {
        let reply = server.send(get("/")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(reply.header("ratelimit"), "");
    }
    assert_eq!(server.send(get("/hello")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn ctrl_c_closes_idle_connections_and_ends_it_with_0() {
    let server = Program::start("hyper_server", &[]).await;
    let mut idle = server.connect().await;
    Reply::hear(idle.send(get("/hello")).await.unwrap()).await;
    server.interrupt();
    idle.hung_up().await;
    assert_eq!(server.ended().await.code(), Some(0));
}

//! Responses that end with their headers (RFC 9110, section 6.4.1), whatever body they have: the
//! server does not poll it.

use http::{Method, Response, StatusCode};

use super::{Scene, chunks};

/// What is used after such a request; nothing may be held any more, though the body is there.
async fn used_after(method: Method, status: u16) -> u64 {
    let scene = Scene::new();
    let answer = || {
        let builder = Response::builder().status(status);
        builder.body(chunks(["never read"])).unwrap()
    };
    let response = scene.answer(method, answer).await;
    let (used, held) = crate::support::books(&scene.quotas);
    assert_eq!(held, 0);
    scene.assert_settled(used);
    drop(response);
    scene.assert_settled(used);
    used
}

#[tokio::test]
async fn head_commits_with_the_headers() {
    assert_eq!(used_after(Method::HEAD, 200).await, 1);
}

#[tokio::test]
async fn head_of_a_failure_is_released() {
    assert_eq!(used_after(Method::HEAD, 404).await, 0);
    assert_eq!(used_after(Method::HEAD, 500).await, 0);
}

#[tokio::test]
async fn no_content_and_not_modified_commit_with_the_headers() {
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
        assert_eq!(used_after(Method::GET, status.as_u16()).await, 1);
        assert_eq!(used_after(Method::POST, status.as_u16()).await, 1);
    }
}

#[tokio::test]
async fn informational_responses_commit_with_the_headers() {
    for status in [100, 101, 103] {
        assert_eq!(used_after(Method::GET, status).await, 1);
    }
}

#[tokio::test]
async fn a_tunnel_commits_when_it_is_opened() {
    assert_eq!(used_after(Method::CONNECT, 200).await, 1);
    assert_eq!(used_after(Method::CONNECT, 204).await, 1);
}

#[tokio::test]
async fn a_refused_tunnel_is_released() {
    assert_eq!(used_after(Method::CONNECT, 403).await, 0);
}

/// Only a 2xx opens a tunnel: any other answer to `CONNECT` has a body.
#[tokio::test]
async fn a_redirected_tunnel_waits_for_its_body() {
    let scene = Scene::new();
    let moved = || {
        let builder = Response::builder().status(307);
        builder.body(chunks(["over there"])).unwrap()
    };
    let response = scene.answer(Method::CONNECT, moved).await;
    scene.assert_held();
    drop(response);
    scene.assert_settled(1);
}

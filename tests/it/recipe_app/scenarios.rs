//! The scenarios of the recipe app's own quota service, seen from outside.

use futures::future::join_all;
use http::{Method, StatusCode};

use super::{App, DISCOVER, REMIX, ROUTES, TIPS, post};
use crate::support::programs::Reply;

const DENIED: StatusCode = StatusCode::TOO_MANY_REQUESTS;

#[tokio::test]
async fn a_limit_of_3_allows_three_then_denies_with_info() {
    let app = App::with(&[("LIMITS", "remix=3")]).await;
    for used in 1..=3 {
        assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
        assert_eq!(app.books("remix").await, (used, 0));
    }
    let denied = app.post(REMIX).await;
    assert_eq!(denied.status, DENIED);
    assert_eq!(denied.json()["limit"], 3);
    assert_eq!(denied.json()["used"], 3);
    assert_eq!(denied.json()["remaining"], 0);
}

#[tokio::test]
async fn a_used_up_feature_leaves_the_others_alone() {
    let app = App::start().await;
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    assert_eq!(app.post(REMIX).await.status, DENIED);
    for (feature, method, path) in ROUTES.into_iter().filter(|(feature, ..)| *feature != "remix") {
        assert_eq!(app.send_as("7", method, path).await.status, StatusCode::OK, "{feature}");
    }
}

#[tokio::test]
async fn a_limit_of_0_denies_at_once_and_waiting_does_not_help() {
    let app = App::with(&[("LIMITS", "remix=0")]).await;
    let denied = app.post(REMIX).await;
    assert_eq!(denied.status, DENIED);
    assert_eq!(denied.json()["limit"], 0);
    assert_eq!(denied.header("retry-after"), "");
}

#[tokio::test]
async fn a_released_unit_can_be_used_again() {
    let app = App::start().await;
    assert_eq!(app.post(&format!("{REMIX}?status=503")).await.status.as_u16(), 503);
    assert_eq!(app.books("remix").await, (0, 0));
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    assert_eq!(app.post(REMIX).await.status, DENIED);
}

/// Sends so many requests at the same time, each over a connection of its own.
async fn at_once(app: &App, requests: usize, path: &str) -> Vec<Reply> {
    let clients = join_all((0..requests).map(|_| app.0.connect())).await;
    let replies = clients.into_iter().map(|mut client| async move {
        Reply::hear(client.send(post(path, "")).await.unwrap()).await
    });
    join_all(replies).await
}

fn count(replies: &[Reply], status: StatusCode) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[tokio::test]
async fn ten_requests_at_once_on_a_limit_of_3_get_exactly_3_grants() {
    let app = App::with(&[("LIMITS", "remix=3")]).await;
    let replies = at_once(&app, 10, &format!("{REMIX}?delay_ms=20")).await;
    assert_eq!(count(&replies, StatusCode::OK), 3);
    assert_eq!(count(&replies, DENIED), 7);
    assert_eq!(app.books("remix").await, (3, 0));
}

#[tokio::test]
async fn ten_requests_at_once_that_fail_are_never_below_0() {
    let app = App::with(&[("LIMITS", "remix=10")]).await;
    let replies = at_once(&app, 10, &format!("{REMIX}?status=503")).await;
    assert_eq!(count(&replies, StatusCode::SERVICE_UNAVAILABLE), 10);
    assert_eq!(app.books("remix").await, (0, 0));
    let replies = at_once(&app, 11, REMIX).await;
    assert_eq!(count(&replies, StatusCode::OK), 10);
    assert_eq!(app.books("remix").await, (10, 0));
}

#[tokio::test]
async fn a_denied_third_request_leaves_usage_at_2() {
    let app = App::start().await;
    assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
    assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
    assert_eq!(app.post(TIPS).await.status, DENIED);
    assert_eq!(app.books("tips").await, (2, 0));
}

#[tokio::test]
async fn a_used_up_discover_serves_the_last_result() {
    let app = App::start().await;
    let fresh = app.get("/api/ai/discover/12/").await;
    assert_eq!(fresh.json()["cached"], false);
    for path in ["/api/ai/discover/12/", "/api/ai/discover/34/"] {
        let cached = app.get(path).await;
        assert_eq!(cached.status, StatusCode::OK);
        assert_eq!(cached.json()["cached"], true);
        assert_eq!(cached.json()["text"], fresh.json()["text"]);
        assert!(cached.header("ratelimit").starts_with("\"day\";r=0;t="));
    }
    assert_eq!(app.books("discover").await, (1, 0));
}

#[tokio::test]
async fn a_used_up_discover_is_denied_where_there_is_no_result_of_this_profile() {
    let app = App::with(&[("OPERATOR_TOKEN", "secret")]).await;
    assert_eq!(app.send_as("8", Method::GET, DISCOVER).await.status, StatusCode::OK);
    let stream = app.send_as("7", Method::GET, &format!("{DISCOVER}?cut=1")).await;
    assert!(!stream.is_complete);
    assert_eq!(app.put_limits(r#"{"discover":0}"#).await.status, StatusCode::NO_CONTENT);
    let denied = app.get(DISCOVER).await;
    assert_eq!(denied.status, DENIED);
    assert_eq!(denied.header("content-type"), "application/problem+json");
    assert_eq!(denied.json()["feature"], "discover");
    let cached = app.send_as("8", Method::GET, DISCOVER).await;
    assert_eq!(cached.status, StatusCode::OK);
}

#[tokio::test]
async fn a_discover_that_failed_is_released_and_not_kept() {
    let app = App::start().await;
    let failed = app.get(&format!("{DISCOVER}?status=404")).await;
    assert_eq!(failed.status, StatusCode::NOT_FOUND);
    assert_eq!(app.books("discover").await, (0, 0));
    assert_eq!(app.get(DISCOVER).await.json()["cached"], false);
}

//! The pretended AI does what the query string says, and each ending costs what it should.

use http::{Method, StatusCode};

use super::{App, DISCOVER, REMIX, TIPS, post};
use crate::support::programs::Reply;

#[tokio::test]
async fn each_failing_status_releases_exactly_once() {
    let app = App::with(&[("LIMITS", "tips=3")]).await;
    assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
    let in_flight = app.begin(&format!("{TIPS}?chunks=2&gap_ms=60000")).await;
    // Given back twice, a unit would be missing from what the other two requests use and hold.
    for status in [400, 401, 403, 404, 409, 429, 499, 500, 502, 503, 599] {
        let reply = app.post(&format!("{TIPS}?status={status}")).await;
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(app.books("tips").await, (1, 1), "{status}");
    }
    drop(in_flight);
}

#[tokio::test]
async fn each_other_status_is_charged_once() {
    let app = App::with(&[("LIMITS", "tips=10")]).await;
    for (index, status) in (1..).zip([200, 201, 202, 204, 206, 302, 304]) {
        let reply = app.post(&format!("{TIPS}?status={status}")).await;
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(app.books("tips").await, (index, 0), "{status}");
    }
}

#[tokio::test]
async fn absurd_values_are_refused_and_release() {
    let app = App::start().await;
    for query in [
        "status=9999",
        "status=100",
        "status=600",
        "status=ok",
        "status=",
        "status=200&status=200",
        "delay_ms=x",
        "delay_ms=-1",
        "delay_ms=99999999999999999999",
        "chunks=x",
        "chunks=1001",
        "gap_ms=1e3",
        "cut=2",
        "panic=yes",
        "cached=-1",
    ] {
        for (method, path) in [(Method::POST, REMIX), (Method::GET, DISCOVER)] {
            let reply = app.send_as("7", method, &format!("{path}?{query}")).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}?{query}");
            assert_eq!(reply.header("content-type"), "application/problem+json");
            let culprit = query.split('=').next().unwrap();
            assert!(reply.text().contains(culprit), "{query}: {}", reply.text());
        }
    }
    assert_eq!(app.books("remix").await, (0, 0));
    assert_eq!(app.books("discover").await, (0, 0));
}

#[tokio::test]
async fn a_cached_result_leaves_usage_0() {
    let app = App::start().await;
    for query in ["cached=1", "cached=1&status=503", "cached=1&chunks=3", "cached=1&delay_ms=1"] {
        let reply = app.post(&format!("{REMIX}?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}");
        assert_eq!(app.books("remix").await, (0, 0), "{query}");
    }
    assert_eq!(app.post(&format!("{REMIX}?cached=1")).await.json()["cached"], true);
}

#[tokio::test]
async fn a_streamed_body_is_charged_when_it_has_ended() {
    let app = App::start().await;
    let (_client, response) = app.begin(&format!("{REMIX}?chunks=5&gap_ms=1")).await;
    let reply = Reply::hear(response).await;
    assert!(reply.is_complete);
    assert_eq!(reply.header("transfer-encoding"), "chunked");
    assert_eq!(reply.text().lines().count(), 5);
    assert_eq!(app.books("remix").await, (1, 0));
}

#[tokio::test]
async fn while_the_stream_lives_its_unit_is_held() {
    let app = App::start().await;
    let stream = app.begin(&format!("{REMIX}?chunks=2&gap_ms=60000")).await;
    assert_eq!(app.books("remix").await, (0, 1));
    assert_eq!(app.post(REMIX).await.status, StatusCode::TOO_MANY_REQUESTS);
    drop(stream);
}

#[tokio::test]
async fn a_stream_that_is_cut_releases() {
    let app = App::start().await;
    for (query, chunks) in [("cut=1", 1), ("cut=1&chunks=5&gap_ms=1", 2), ("cut=1&chunks=1", 0)] {
        let reply = app.post(&format!("{REMIX}?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}");
        assert!(!reply.is_complete, "{query}");
        assert_eq!(reply.text().lines().count(), chunks, "{query}");
        assert_eq!(app.books("remix").await, (0, 0), "{query}");
    }
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_panic_releases_and_the_server_survives() {
    let app = App::start().await;
    let mut client = app.0.connect().await;
    let request = post(&format!("{REMIX}?panic=1"), "");
    client.send(request).await.expect_err("the connection drops");
    // The socket is closed a moment before the rest of the connection is dropped.
    app.wait_for("remix", |used, held| (used, held) == (0, 0)).await;
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    assert_eq!(app.books("remix").await, (1, 0));
}

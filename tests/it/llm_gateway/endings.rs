//! Backends that fail, and clients that go away.

use http::StatusCode;
use http_body_util::BodyExt;

use super::{ESTIMATE, Gateway, post};
use crate::support::programs::Reply;

#[tokio::test]
async fn a_backend_that_answers_an_error_costs_nothing() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask("?status=503").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.text().contains("as it was asked to"));
    assert_eq!(gateway.books().await, [(0, 0), (0, 0)]);
}

#[tokio::test]
async fn a_backend_that_fails_midway_costs_nothing() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask("?cut=2").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(!reply.is_complete);
    assert_eq!(gateway.books().await, [(0, 0), (0, 0)]);
}

/// The usage comes after three words.
#[tokio::test]
async fn a_backend_that_fails_once_it_has_said_what_it_took_is_paid() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask("?cut=4&tokens=77").await;
    assert!(!reply.is_complete);
    assert_eq!(gateway.books().await, [(1, 0), (77, 0)]);
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_headers_pays_nothing() {
    let gateway = Gateway::start().await;
    let mut client = gateway.0.connect().await;
    {
        let request = client.send(post("?wait=0", true));
        tokio::select! {
            answer = request => panic!("answered at once: {answer:?}"),
            () = gateway.wait_for([(0, 1), (0, ESTIMATE)]) => {}
        }
    }
    client.hang_up().await;
    gateway.wait_for([(0, 0), (0, 0)]).await;
}

#[tokio::test]
async fn a_client_that_goes_away_midway_pays_the_estimate() {
    let gateway = Gateway::start().await;
    let (client, mut response) = gateway.begin("?wait=2").await;
    response.frame().await.unwrap().unwrap();
    assert_eq!(gateway.books().await, [(0, 1), (0, ESTIMATE)]);
    drop(response);
    client.hang_up().await;
    gateway.wait_for([(1, 0), (ESTIMATE, 0)]).await;
}

/// The backend never ends this stream: `[DONE]` would be its sixth chunk.
#[tokio::test]
async fn a_client_that_goes_away_after_the_usage_pays_what_it_says() {
    let gateway = Gateway::start().await;
    let (client, mut response) = gateway.begin("?words=4&wait=5&tokens=77").await;
    let mut heard = Vec::new();
    while !heard.ends_with(b"\"total_tokens\":77}}\n\n") {
        let frame = response.frame().await.unwrap().unwrap();
        heard.extend(frame.into_data().unwrap());
    }
    assert_eq!(gateway.books().await, [(0, 1), (0, ESTIMATE)], "it is settled in the end");
    drop(response);
    client.hang_up().await;
    gateway.wait_for([(1, 0), (77, 0)]).await;
}

#[tokio::test]
async fn a_client_that_goes_away_right_after_the_last_chunk_pays_what_it_says() {
    let gateway = Gateway::start().await;
    let (client, mut response) = gateway.begin("?tokens=77").await;
    let mut heard = Vec::new();
    while !heard.ends_with(b"data: [DONE]\n\n") {
        let frame = response.frame().await.unwrap().unwrap();
        heard.extend(frame.into_data().unwrap());
    }
    drop(response);
    client.hang_up().await;
    gateway.wait_for([(1, 0), (77, 0)]).await;
}

/// The stream's client hears it to its end; nobody else gets in.
#[tokio::test]
async fn ctrl_c_lets_a_stream_end() {
    let gateway = Gateway::start().await;
    let (_client, response) = gateway.begin("?words=900&tokens=9").await;
    gateway.0.interrupt();
    let reply = Reply::hear(response).await;
    assert!(reply.is_complete);
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(gateway.0.ended().await.code(), Some(0));
}

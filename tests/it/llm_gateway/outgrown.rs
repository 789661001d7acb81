//! Streams that outgrow their estimate, of which 300 tokens are for the answer.

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{ESTIMATE, Gateway, said};

/// What a stream says, event by event.
fn events(text: &str) -> Vec<Value> {
    let events = text.split_terminator("\n\n").map(|event| event.trim().strip_prefix("data: "));
    let events = events.map(Option::unwrap).filter(|event| *event != "[DONE]");
    events.map(|event| serde_json::from_str(event).unwrap()).collect()
}

/// How many words a stream says, and why it stops.
fn said_and_why(text: &str) -> (usize, Value) {
    let events = events(text);
    let words = events.iter().filter(|it| it["choices"][0]["delta"]["content"] == "word ").count();
    (words, events.last().unwrap()["choices"][0]["finish_reason"].clone())
}

#[tokio::test]
async fn a_stream_that_outgrows_its_estimate_holds_more_and_pays_what_it_says() {
    let gateway = Gateway::start().await;
    let (client, mut response) = gateway.begin("?words=400&wait=360&tokens=450").await;
    let mut heard = Vec::new();
    while heard.windows(5).filter(|it| it == b"word ").count() < 360 {
        let frame = response.frame().await.unwrap().unwrap();
        heard.extend(frame.into_data().unwrap());
    }
    assert_eq!(gateway.books().await, [(0, 1), (0, ESTIMATE + 100)], "one request, and more");
    drop((client, response));
    gateway.wait_for([(1, 0), (ESTIMATE + 100, 0)]).await;

    let reply = gateway.ask("?words=400&tokens=450").await;
    assert_eq!(said_and_why(reply.text()), (400, Value::Null));
    assert_eq!(gateway.books().await, [(2, 0), (ESTIMATE + 100 + 450, 0)]);
}

/// 1,000 tokens are a day's. After 301 and 13 times 50 there is no room for another 50.
#[tokio::test]
async fn a_stream_that_uses_the_quota_up_ends_politely() {
    for piece in ["", "&piece=7", "&piece=100000"] {
        let gateway = Gateway::start().await;
        let reply = gateway.ask(&format!("?words=1000&tokens=1001{piece}")).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(reply.is_complete, "it does not break off");
        assert!(reply.text().ends_with("\n\ndata: [DONE]\n\n"));
        assert_eq!(said_and_why(reply.text()), (950, json!("length")));
        assert_eq!(gateway.books().await, [(1, 0), (951, 0)], "the question, and what was said");
    }
}

/// It was estimated at more than there is: all of it is set aside, and no more is to be had.
#[tokio::test]
async fn who_was_estimated_at_all_there_is_gets_all_there_is() {
    let gateway = Gateway::with(&[("TOKENS", "20")]).await;
    let question = json!({ "messages": [{ "content": "Why?" }], "stream": true });
    let reply = gateway.0.send(said("?words=100", &question)).await;
    assert_eq!(said_and_why(reply.text()), (19, json!("length")));
    assert_eq!(gateway.books().await, [(1, 0), (20, 0)]);
}

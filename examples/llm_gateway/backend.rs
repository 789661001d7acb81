//! The backend, which is pretended. What it does stands in the query string:
//!
//! | parameter | meaning | default |
//! |---|---|---|
//! | `tokens` | how many tokens it says that it took | one for each word of its answer |
//! | `words` | how many words the answer has, each in a chunk of its own | 3 |
//! | `status` | it answers with this status, and nothing else | 200 |
//! | `silent=1` | it does not say how many tokens it took | |
//! | `cut` | it fails after so many chunks | never |
//! | `wait` | it says nothing for an hour after so many chunks; 0 for no headers either | never |

use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::COMPLETIONS;
use crate::gateway::problem;

const MOST_WORDS: u64 = 1_000;
const AN_HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) fn router() -> Router {
    Router::new().route(COMPLETIONS, post(complete))
}

#[derive(Deserialize)]
#[serde(default)]
struct Script {
    tokens: Option<u64>,
    words: u64,
    status: u16,
    silent: u8,
    cut: Option<usize>,
    wait: Option<usize>,
}

impl Default for Script {
    fn default() -> Self {
        Self { tokens: None, words: 3, status: 200, silent: 0, cut: None, wait: None }
    }
}

async fn complete(Query(script): Query<Script>, Json(question): Json<Value>) -> Response {
    if script.wait == Some(0) {
        sleep(AN_HOUR).await;
    }
    let status = StatusCode::from_u16(script.status).unwrap_or(StatusCode::BAD_REQUEST);
    if status != StatusCode::OK {
        return problem(status, "the backend fails, as it was asked to").into_response();
    }
    let words = script.words.min(MOST_WORDS);
    let usage = json!({ "total_tokens": script.tokens.unwrap_or(words) });
    if question["stream"] != true {
        let text: String = (0..words).map(|_| "word ").collect();
        let usage = if script.silent == 0 { usage } else { Value::Null };
        let choices = json!([{ "message": { "role": "assistant", "content": text } }]);
        return Json(json!({ "choices": choices, "usage": usage })).into_response();
    }
    let mut events: Vec<Value> = (0..words)
        .map(|_| json!({ "choices": [{ "delta": { "content": "word " } }], "usage": null }))
        .collect();
    if question["stream_options"]["include_usage"] == true && script.silent == 0 {
        events.push(json!({ "choices": [], "usage": usage }));
    }
    let lines = events.into_iter().map(|event| format!("data: {event}\n\n"));
    let lines: Vec<String> = lines.chain(["data: [DONE]\n\n".to_owned()]).collect();
    let body = Body::from_stream(script.play(lines));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

impl Script {
    /// Says these lines, as far as it is to.
    fn play(self, lines: Vec<String>) -> impl Stream<Item = Result<String, &'static str>> {
        stream::iter(lines.into_iter().enumerate()).then(move |(index, line)| async move {
            // The server sends what it has only while it waits for more.
            yield_now().await;
            if self.wait == Some(index) {
                sleep(AN_HOUR).await;
            }
            if self.cut == Some(index) {
                return Err("the backend goes silent, as it was asked to");
            }
            Ok(line)
        })
    }
}

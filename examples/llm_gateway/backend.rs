//! The backend, which is pretended. What it does stands in the query string:
//!
//! | parameter | meaning | default |
//! |---|---|---|
//! | `tokens` | how many tokens it says that it took | one for each word of its answer |
//! | `words` | how many words the answer has, each in a chunk of its own | 3 |
//! | `status` | it answers with this status, and nothing else | 200 |
//! | `silent=1` | it does not say how many tokens it took | |
//! | `piece` | its stream is cut into chunks of so many bytes | a chunk for each event |
//! | `cut` | it fails after so many chunks | never |
//! | `wait` | it says nothing for an hour after so many chunks; 0 for no headers either | never |

use std::time::Duration;

use axum::body::{Body, Bytes};
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

#[derive(Clone, Copy, Deserialize)]
#[serde(default)]
struct Script {
    tokens: Option<u64>,
    words: u64,
    status: u16,
    silent: u8,
    piece: Option<usize>,
    cut: Option<usize>,
    wait: Option<usize>,
}

impl Default for Script {
    fn default() -> Self {
        Self { tokens: None, words: 3, status: 200, silent: 0, piece: None, cut: None, wait: None }
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
    if question["stream"] != true {
        return Json(script.answer()).into_response();
    }
    let tells_usage = question["stream_options"]["include_usage"] == true;
    let body = Body::from_stream(script.play(script.chunks(tells_usage)));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

impl Script {
    fn words(self) -> impl Iterator<Item = &'static str> {
        (0..self.words.min(MOST_WORDS)).map(|_| "word ")
    }

    fn usage(self) -> Option<Value> {
        let tokens = self.tokens.unwrap_or(self.words.min(MOST_WORDS));
        (self.silent == 0).then(|| json!({ "total_tokens": tokens }))
    }

    /// The answer in one piece.
    fn answer(self) -> Value {
        let message = json!({ "role": "assistant", "content": self.words().collect::<String>() });
        json!({ "choices": [{ "message": message }], "usage": self.usage() })
    }

    /// The answer as a stream of events, the usage last but one.
    fn chunks(self, tells_usage: bool) -> Vec<Bytes> {
        let words = self.words().map(|word| {
            json!({ "choices": [{ "delta": { "content": word } }], "usage": null }).to_string()
        });
        let usage = self.usage().filter(|_| tells_usage);
        let usage = usage.map(|usage| json!({ "choices": [], "usage": usage }).to_string());
        let events = words.chain(usage).chain(["[DONE]".to_owned()]);
        let events = events.map(|event| Bytes::from(format!("data: {event}\n\n")));
        match self.piece {
            None => events.collect(),
            Some(length) => {
                let whole: Vec<u8> = events.flatten().collect();
                whole.chunks(length.max(1)).map(Bytes::copy_from_slice).collect()
            }
        }
    }

    /// Says these chunks, as far as it is to.
    fn play(self, chunks: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, &'static str>> {
        stream::iter(chunks.into_iter().enumerate()).then(move |(index, chunk)| async move {
            // The server sends what it has only while it waits for more.
            yield_now().await;
            if self.wait == Some(index) {
                sleep(AN_HOUR).await;
            }
            if self.cut == Some(index) {
                return Err("the backend goes silent, as it was asked to");
            }
            Ok(chunk)
        })
    }
}

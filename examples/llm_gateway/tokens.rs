//! How many tokens: estimated from a question, and read from an answer.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

/// How long an answer may be that nobody has bounded.
const UNBOUNDED: u64 = 500;
/// How many bytes of a question make a token, about.
const BYTES_A_TOKEN: usize = 4;
/// The longest line that is looked at, in bytes.
const LONGEST_LINE: usize = 1 << 20;

/// About how many tokens a question and its answer will take.
pub(crate) fn estimate(question: &Value) -> u64 {
    let bytes = question["messages"].as_array().into_iter().flatten();
    let bytes: usize = bytes.filter_map(|message| message["content"].as_str()).map(str::len).sum();
    let asked = u64::try_from(bytes.div_ceil(BYTES_A_TOKEN)).unwrap_or(u64::MAX);
    asked.saturating_add(question["max_tokens"].as_u64().unwrap_or(UNBOUNDED))
}

/// Has a stream say in the end how many tokens it took. Without being asked it would not.
pub(crate) fn ask_for_usage(question: &mut Value) {
    if let Some(question) = question.as_object_mut() {
        question.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    }
}

pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

#[derive(Deserialize)]
struct Answer {
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: u64,
}

/// The tokens that a whole answer, or an event of a stream, says it took.
pub(crate) fn total(json: &[u8]) -> Option<u64> {
    let answer: Answer = serde_json::from_slice(json).ok()?;
    Some(answer.usage?.total_tokens)
}

/// Finds what a stream of events says it took, wherever it is cut into chunks.
#[derive(Default)]
pub(crate) struct UsageReader {
    line: Vec<u8>,
}

impl UsageReader {
    /// Reads on. The total, if it stands in a line that ends here.
    pub(crate) fn read(&mut self, chunk: &[u8]) -> Option<u64> {
        let mut found = None;
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            // What is cut off here is no JSON any more, and passes unread.
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend(part.iter().take(room));
            if part.ends_with(b"\n") {
                found = self.line.strip_prefix(b"data:").and_then(total).or(found);
                self.line.clear();
            }
        }
        found
    }
}

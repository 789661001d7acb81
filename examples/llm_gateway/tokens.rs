//! How many tokens: estimated from a question, and read from an answer.

use std::mem;

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

/// About how many tokens a question takes, and its answer will take.
pub(crate) fn estimate(question: &Value) -> (u64, u64) {
    let bytes = question["messages"].as_array().into_iter().flatten();
    let bytes: usize = bytes.filter_map(|message| message["content"].as_str()).map(str::len).sum();
    let asked = u64::try_from(bytes.div_ceil(BYTES_A_TOKEN)).unwrap_or(u64::MAX);
    (asked, question["max_tokens"].as_u64().unwrap_or(UNBOUNDED))
}

/// Has a stream say in the end how many tokens it took. Without being asked it would not.
pub(crate) fn ask_for_usage(question: &mut Value) {
    if question["stream"] != true {
        return;
    }
    if let Some(question) = question.as_object_mut() {
        question.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    }
}

pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// A whole answer, or an event of a stream.
#[derive(Deserialize)]
struct Answer {
    usage: Option<Usage>,
    #[serde(default)]
    choices: Vec<Choice>,
}

/// One of the answers that were asked for.
#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: u64,
}

/// The tokens that a whole answer says it took.
pub(crate) fn total(json: &[u8]) -> Option<u64> {
    let answer: Answer = serde_json::from_slice(json).ok()?;
    Some(answer.usage?.total_tokens)
}

/// Cuts a stream of events into lines, wherever it is cut into chunks.
#[derive(Default)]
pub(crate) struct LineReader {
    /// A line that has not ended.
    line: Vec<u8>,
}

impl LineReader {
    /// Reads on. The lines that end here.
    pub(crate) fn read(&mut self, chunk: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend(part);
            // What is longer is no event any more, and passes unread.
            if part.ends_with(b"\n") || self.line.len() > LONGEST_LINE {
                lines.push(Line::new(self.rest()));
            }
        }
        lines
    }

    /// A last line that does not end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        mem::take(&mut self.line)
    }
}

/// A line of a stream of events.
pub(crate) struct Line {
    pub(crate) text: Vec<u8>,
    /// How many tokens it adds to the answer: one, about, if it adds anything.
    pub(crate) tokens: u64,
    /// How many tokens all took, if it says so.
    pub(crate) total: Option<u64>,
}

impl Line {
    fn new(text: Vec<u8>) -> Self {
        let event = text.strip_prefix(b"data:").map(serde_json::from_slice::<Answer>);
        let Some(Ok(Answer { usage, choices })) = event else {
            return Self { text, tokens: 0, total: None };
        };
        let adds = |choice: &Choice| choice.delta.content.as_ref().is_some_and(|it| !it.is_empty());
        let tokens = choices.iter().map(|choice| u64::from(adds(choice))).sum();
        Self { text, tokens, total: usage.map(|usage| usage.total_tokens) }
    }
}

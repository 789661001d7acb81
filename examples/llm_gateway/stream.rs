//! The stream: it is passed on as it comes, asks for more tokens as it outgrows its estimate, and is
//! charged what it says in the end.

use axum::BoxError;
use axum::body::Bytes;
use futures::TryStreamExt;
use futures::future::ready;
use futures::stream::{self, Stream};
use http_body_util::{BodyDataStream, BodyExt};
use hyper::body::Incoming;
use tower_quota::{Check, QuotaHandle};

use crate::tokens::LineReader;

/// How many tokens are set aside at a time when an answer outgrows its estimate.
const MORE: u64 = 50;
/// What a stream ends with when the quota is used up: what clients know from answers that grew too long.
const USED_UP: &[u8] =
    b"\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";

/// A stream from the backend. If the client goes away, it is dropped, and with it the connection to the
/// backend, which need not go on.
pub(crate) struct Metered {
    body: BodyDataStream<Incoming>,
    lines: LineReader,
    quota: QuotaHandle,
    /// How many tokens are set aside for what has not been said yet.
    left: u64,
    ended: bool,
}

impl Metered {
    pub(crate) fn new(body: Incoming, quota: QuotaHandle, left: u64) -> Self {
        let (body, lines) = (body.into_data_stream(), LineReader::default());
        Self { body, lines, quota, left, ended: false }
    }

    /// What the client hears, in whole lines: where it ends early, it does so between two of them.
    pub(crate) fn play(self) -> impl Stream<Item = Result<Bytes, BoxError>> {
        let chunks = stream::try_unfold(self, async |mut metered| {
            Ok(metered.next().await?.map(|chunk| (chunk, metered)))
        });
        chunks.try_filter(|chunk: &Bytes| ready(!chunk.is_empty()))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        if self.ended {
            return Ok(None);
        }
        let Some(chunk) = self.body.try_next().await? else {
            self.ended = true;
            return Ok(Some(self.lines.rest().into()));
        };
        let mut heard = Vec::new();
        for line in self.lines.read(&chunk) {
            if !self.may_say(line.tokens).await {
                self.ended = true;
                heard.extend(USED_UP);
                break;
            }
            if let Some(total) = line.total {
                // It fails only where nobody waits for the stream any more.
                let _ = self.quota.charge(total);
            }
            heard.extend(line.text);
        }
        Ok(Some(heard.into()))
    }

    /// Whether so many tokens are set aside, by now. That the books are away is not the client's fault.
    async fn may_say(&mut self, tokens: u64) -> bool {
        let missing = tokens.saturating_sub(self.left);
        if missing > 0 {
            let more = missing.max(MORE);
            if let Ok(Check::Denied(_)) = self.quota.hold_more(more).await {
                return false;
            }
            self.left += more;
        }
        self.left -= tokens;
        true
    }
}

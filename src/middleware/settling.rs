//! The guard that follows a request to its end, wherever that is, and settles it there.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Frame;

use super::handle::QuotaHandle;
use super::headers::Headers;
use super::outcome::{Ending, Outcome, grpc_status};
use super::problem::is_grpc;
use crate::count::Spent;
use crate::decision::Settlement;

/// Decides what an outcome costs.
pub(super) type Policy = dyn Fn(&Outcome<'_>) -> Settlement + Send + Sync;

/// Owned by the future, then by the body. Whatever drops it, it settles the request once.
pub(super) struct Settling {
    handle: QuotaHandle,
    policy: Option<Arc<Policy>>,
    headers: Headers,
    request: Asked,
    /// Whether the inner service or body is being called: if that does not return, it panicked.
    running: bool,
    settled: bool,
    status: Option<StatusCode>,
    grpc_status: Option<u32>,
    body_bytes: u64,
    /// How many bytes the body will have, if that is known.
    body_length: Option<u64>,
}

/// What of a request's method decides where its response ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Head,
    Connect,
    Other,
}

impl Settling {
    /// Without a policy, the default applies.
    pub(super) fn new(
        handle: QuotaHandle,
        policy: Option<Arc<Policy>>,
        headers: Headers,
        method: &Method,
    ) -> Self {
        Self {
            handle,
            policy,
            headers,
            request: match *method {
                Method::HEAD => Asked::Head,
                Method::CONNECT => Asked::Connect,
                _ => Asked::Other,
            },
            running: false,
            settled: false,
            status: None,
            grpc_status: None,
            body_bytes: 0,
            body_length: None,
        }
    }

    /// Calls the inner service or polls its body, and notices if that panics.
    pub(super) fn watch<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.running = true;
        let done = run();
        self.running = false;
        done
    }

    /// The response is there: settles it if that can be decided by now, and writes the headers.
    pub(super) fn respond<B: http_body::Body>(&mut self, response: &mut Response<B>) {
        let body = response.body();
        let (ended, length) = self.watch(|| (body.is_end_stream(), body.size_hint().exact()));
        self.status = Some(response.status());
        self.body_length = length.or_else(|| content_length(response.headers()));
        let complete = ended || self.has_no_body(response.status());
        if is_grpc(response.headers()) {
            // Trailers-only, whether or not the body says that it is empty.
            self.grpc_status = grpc_status(response.headers());
        }
        let ending = if complete { Ending::Complete } else { Ending::Headers };
        self.settle(ending, Some(response.headers()));
        if let Some(would_deny) = self.handle.take_would_deny() {
            response.extensions_mut().insert(would_deny);
        }
        if self.headers != Headers::None {
            let write = |standing: &_| self.headers.write(standing, response.headers_mut());
            self.handle.with_standing(write);
        }
    }

    /// Whether the request is still to be settled.
    pub(super) fn is_open(&self) -> bool {
        !self.settled
    }

    /// A frame of the body is on its way to the server.
    pub(super) fn note(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
            self.body_bytes = self.body_bytes.saturating_add(bytes);
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.grpc_status = grpc_status(trailers).or(self.grpc_status);
        }
    }

    /// The request has ended.
    pub(super) fn end(mut self, ending: Ending) {
        self.settle(ending, None);
    }

    /// Whether a response of this status ends with its headers (RFC 9110, section 6.4.1).
    fn has_no_body(&self, status: StatusCode) -> bool {
        self.request == Asked::Head
            || (self.request == Asked::Connect && status.is_success())
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// What the policy says. It may be asked while a panic unwinds, where another would abort the
    /// process: if it panics, the default is taken.
    fn settlement(&self, outcome: &Outcome<'_>) -> Settlement {
        let Some(policy) = &self.policy else {
            return outcome.settlement();
        };
        let asked = panic::catch_unwind(AssertUnwindSafe(|| policy(outcome)));
        asked.unwrap_or_else(|_| outcome.settlement())
    }

    fn settle(&mut self, ending: Ending, headers: Option<&HeaderMap>) {
        let outcome = Outcome {
            ending,
            status: self.status,
            headers,
            grpc_status: self.grpc_status,
            body_bytes: self.body_bytes,
        };
        let spent = match self.settlement(&outcome) {
            Settlement::Wait if ending == Ending::Headers => return,
            Settlement::Commit | Settlement::Wait => Spent::Held,
            Settlement::Charge(units) => Spent::Units(units),
            Settlement::Release => Spent::Nothing,
        };
        self.settled = true;
        self.handle.settle(spent);
    }
}

impl Drop for Settling {
    /// Nobody waits for the rest.
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let ending = match self.status {
            _ if self.running => Ending::Panic,
            None => Ending::Dropped,
            // A server that has all the bytes it announced does not ask for more.
            Some(_) if self.body_length == Some(self.body_bytes) => Ending::Complete,
            Some(_) => Ending::BodyDropped,
        };
        self.settle(ending, None);
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settling")
            .field("handle", &self.handle)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

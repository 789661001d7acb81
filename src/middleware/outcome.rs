//! How a request ended, and what that costs.

use http::{HeaderMap, StatusCode};

use crate::decision::Settlement;

/// How far a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The response's headers are known, its body has not ended.
    Headers,
    /// The whole response was handed to the server.
    Complete,
    /// The body was dropped before its end: mostly, the client went away.
    BodyDropped,
    /// The body failed.
    BodyError,
    /// The inner service failed.
    ServiceError,
    /// The inner service or its body panicked.
    Panic,
    /// The request was dropped before there was a response: the client went away, or a time-out.
    Dropped,
}

/// How far a request got and how it ended: what an outcome policy decides by.
///
/// A policy is asked with the headers ([`Ending::Headers`]), and, if it answers
/// [`Settlement::Wait`], once more at the end. A request that has no body, or none left, is asked
/// about once, with [`Ending::Complete`].
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    pub(super) ending: Ending,
    pub(super) status: Option<StatusCode>,
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) grpc_status: Option<u32>,
    pub(super) body_bytes: u64,
}

impl Outcome<'_> {
    /// How far it got.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// The response's status; none if there was no response.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The response's headers, while they are at hand: not any more when the body has ended.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.headers
    }

    /// The gRPC status, from the headers or the trailers.
    #[must_use]
    pub fn grpc_status(&self) -> Option<u32> {
        self.grpc_status
    }

    /// Bytes of the body that were handed to the server.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Whether the service says that it failed: a status of 400 or more, or a gRPC status other
    /// than 0.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        let http = self.status.is_some_and(|status| status.as_u16() >= 400);
        http || self.grpc_status.is_some_and(|status| status != 0)
    }

    /// The default policy: whoever got an answer pays, if it is not a failure.
    ///
    /// [`Release`](Settlement::Release) after a failure, an error of service or body, a panic, or a
    /// request that was dropped before its response; [`Commit`](Settlement::Commit) after a
    /// complete body or one that the client did not want to the end.
    #[must_use]
    pub fn settlement(&self) -> Settlement {
        match self.ending {
            Ending::Headers | Ending::Complete | Ending::BodyDropped if self.is_failure() => {
                Settlement::Release
            }
            Ending::Headers => Settlement::Wait,
            Ending::Complete | Ending::BodyDropped => Settlement::Commit,
            Ending::BodyError | Ending::ServiceError | Ending::Panic | Ending::Dropped => {
                Settlement::Release
            }
        }
    }
}

/// The `grpc-status` in headers or trailers. One that is no number is the status `UNKNOWN`.
pub(super) fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    const UNKNOWN: u32 = 2;
    let value = headers.get("grpc-status")?;
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    Some(number.unwrap_or(UNKNOWN))
}

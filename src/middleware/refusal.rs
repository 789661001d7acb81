//! The answers to requests that could not be decided.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use super::problem::{GrpcCode, Problem, grpc_response, problem_response};
use crate::error::{BoxError, Error};

const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
/// The type of a problem that says no more than its status (RFC 9457, section 4.2.1).
const BLANK: &str = "about:blank";

/// Why a request was refused without a look at its quota.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// Nobody knows who pays. The challenge, if there is one, says how to authenticate.
    Unidentified(Option<HeaderValue>),
    /// An id that is empty or too long.
    BadId,
    /// The store or the profile source failed.
    Unavailable(Failure),
    /// A feature or a plan that the engine does not have, or a tenant that the profile has not.
    Misconfigured(Failure),
}

/// What went wrong when the layer answered with 500 or 503, in the extensions of that response: for
/// a layer further out to log. The client is not told.
#[derive(Clone, Debug)]
pub struct Failure(Arc<BoxError>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::BadId(_) => Self::BadId,
            Error::Store(_) => Self::unavailable(Arc::new(error.into())),
            Error::UnknownFeature(_) | Error::UnknownPlan(_) | Error::NoTenant(_) => {
                Self::Misconfigured(Failure(Arc::new(error.into())))
            }
        }
    }
}

impl Refusal {
    pub(super) fn unavailable(error: Arc<BoxError>) -> Self {
        Self::Unavailable(Failure(error))
    }

    pub(super) fn answer(self, is_grpc: bool) -> Response<Bytes> {
        let mut response = if is_grpc { self.grpc() } else { self.problem() };
        match self {
            Self::Unidentified(Some(challenge)) => {
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            Self::Unavailable(failure) => {
                let soon = HeaderValue::from_static("1");
                response.headers_mut().insert(RETRY_AFTER, soon);
                response.extensions_mut().insert(failure);
            }
            Self::Misconfigured(failure) => {
                response.extensions_mut().insert(failure);
            }
            Self::Unidentified(None) | Self::BadId => {}
        }
        response
    }

    fn grpc(&self) -> Response<Bytes> {
        let code = match self {
            Self::Unidentified(_) => GrpcCode::Unauthenticated,
            Self::BadId => GrpcCode::InvalidArgument,
            Self::Unavailable(_) => GrpcCode::Unavailable,
            Self::Misconfigured(_) => GrpcCode::Internal,
        };
        grpc_response(code, self.detail())
    }

    fn problem(&self) -> Response<Bytes> {
        let (kind, title, status) = match self {
            Self::Unidentified(_) => (BLANK, "Unauthorized", StatusCode::UNAUTHORIZED),
            Self::BadId => (BLANK, "Bad Request", StatusCode::BAD_REQUEST),
            Self::Unavailable(_) => {
                (REDUCED_CAPACITY, "Temporarily reduced capacity", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Misconfigured(_) => {
                (BLANK, "Internal Server Error", StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        let problem =
            Problem { kind, title, status: status.as_u16(), detail: self.detail().to_owned() };
        problem_response(status, &problem)
    }

    fn detail(&self) -> &'static str {
        match self {
            Self::Unidentified(_) => "The request does not say whose quota it uses",
            Self::BadId => "The id of the profile is empty or too long",
            Self::Unavailable(_) => "Quotas cannot be looked up at the moment",
            Self::Misconfigured(_) => "The quota of this route is not configured",
        }
    }
}

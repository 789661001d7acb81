//! The request's handle as an extractor of axum.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::StatusCode;
use http::request::Parts;

use super::handle::QuotaHandle;

/// Answers 500 on a route that the layer does not meter.
impl<S: Sync> FromRequestParts<S> for QuotaHandle {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        const UNMETERED: &str =
            "this request is not metered: no quota layer has put a handle into it";
        let handle = parts.extensions.get::<Self>().cloned();
        handle.ok_or((StatusCode::INTERNAL_SERVER_ERROR, UNMETERED))
    }
}

/// None where the layer does not meter the request: an unidentified one that may pass.
impl<S: Sync> OptionalFromRequestParts<S> for QuotaHandle {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

//! The service: which feature, who pays, reserve; the rest is the future's.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::head::RequestHead;
use super::rules::Rules;
use crate::store::Answer;

/// The service of a [`QuotaLayer`](crate::QuotaLayer).
///
/// Its errors are the inner service's. It calls the inner service that was polled ready: at once if
/// the request can be decided at once; otherwise it takes that service along and leaves a clone.
#[derive(Clone)]
pub struct Quota<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> Quota<S> {
    pub(super) fn new(inner: S, rules: Arc<Rules>) -> Self {
        Self { inner, rules }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Quota<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.rules.admit(&RequestHead::of(&request)) {
            Answer::Ready(admission) => {
                ResponseFuture::decided(admission, &self.rules, &mut self.inner, request)
            }
            Answer::Pending(admission) => {
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::deciding(admission, self.rules.clone(), ready, request)
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Quota<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("inner", &self.inner).finish_non_exhaustive()
    }
}

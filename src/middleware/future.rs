//! The future of a response: decide, run the inner service, pass its response on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::ResponseBody;
use super::outcome::Ending;
use super::problem::is_grpc;
use super::rules::{Admission, Rules};
use super::settling::Settling;

pin_project! {
    /// The response future of [`Quota`](crate::Quota). Dropping it settles the request.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        /// The store or the profile source has been asked.
        Deciding {
            admission: BoxFuture<'static, Admission>,
            // Boxed, so that it takes no room in the futures of all other requests.
            held_back: Option<Box<HeldBack<S, B>>>,
        },
        /// The inner service works on it.
        Running {
            #[pin]
            inner: F,
            settling: Option<Settling>,
        },
        /// The layer answers by itself.
        Answering {
            response: Option<Response<Bytes>>,
        },
    }
}

/// A request that waits for the decision, and the service that is ready for it.
struct HeldBack<S, B> {
    rules: Arc<Rules>,
    ready: S,
    request: Request<B>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn deciding(
        admission: BoxFuture<'static, Admission>,
        rules: Arc<Rules>,
        ready: S,
        request: Request<B>,
    ) -> Self {
        let held_back = Some(Box::new(HeldBack { rules, ready, request }));
        Self { state: State::Deciding { admission, held_back } }
    }

    pub(super) fn decided(
        admission: Admission,
        rules: &Rules,
        ready: &mut S,
        request: Request<B>,
    ) -> Self {
        Self { state: State::decided(admission, rules, ready, request) }
    }
}

impl<S, B> State<S, B, S::Future>
where
    S: Service<Request<B>>,
{
    fn decided(
        admission: Admission,
        rules: &Rules,
        ready: &mut S,
        mut request: Request<B>,
    ) -> Self {
        match admission {
            Admission::Pass => Self::Running { inner: ready.call(request), settling: None },
            Admission::Run(decision, order) => {
                let mut settling = rules.enter(&mut request, decision, order);
                let inner = settling.watch(|| ready.call(request));
                Self::Running { inner, settling: Some(settling) }
            }
            Admission::Deny(denial) => {
                let response = rules.deny(&denial, is_grpc(request.headers()));
                Self::Answering { response: Some(response) }
            }
            Admission::Refuse(refusal) => {
                let response = refusal.answer(is_grpc(request.headers()));
                Self::Answering { response: Some(response) }
            }
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Deciding { admission, held_back } => {
                    let admission = ready!(admission.as_mut().poll(cx));
                    let Some(held_back) = held_back.take() else {
                        return Poll::Pending;
                    };
                    let HeldBack { rules, mut ready, request } = *held_back;
                    state.set(State::decided(admission, &rules, &mut ready, request));
                }
                StateProjection::Running { inner, settling } => {
                    return poll_inner(inner, settling, cx);
                }
                StateProjection::Answering { response } => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(response.map(ResponseBody::own))),
                        None => Poll::Pending,
                    };
                }
            }
        }
    }
}

fn poll_inner<F, R, E>(
    inner: Pin<&mut F>,
    settling: &mut Option<Settling>,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<ResponseBody<R>>, E>>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes>,
{
    let polled = match settling {
        Some(settling) => settling.watch(|| inner.poll(cx)),
        None => inner.poll(cx),
    };
    let mut response = match ready!(polled) {
        Ok(response) => response,
        Err(error) => {
            if let Some(settling) = settling.take() {
                settling.end(Ending::ServiceError);
            }
            return Poll::Ready(Err(error));
        }
    };
    if let Some(settling) = settling {
        settling.respond(&mut response);
    }
    let settling = settling.take_if(|settling| settling.is_open());
    Poll::Ready(Ok(response.map(|body| ResponseBody::inner(body, settling))))
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

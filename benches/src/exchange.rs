//! One request and its answer: the handler that every layer is put over, the requests that it
//! gets, and what a server does with them.

use std::convert::Infallible;
use std::future::{Future, Ready, poll_fn, ready};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use tower::Service;

/// The header that says who pays.
pub(crate) static PROFILE_ID: HeaderName = HeaderName::from_static("x-profile-id");

/// The service that is measured bare, and under each layer.
#[derive(Clone, Copy)]
pub(crate) struct Handler {
    /// Whether it answers with a content type and length, as whatever axum runs does.
    pub(crate) headers: bool,
}

impl Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(request);
        let body = Bytes::from_static(br#"{"text":"a remix"}"#);
        let mut response = Response::new(Body::from(body));
        if self.headers {
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("18"));
        }
        ready(Ok(response))
    }
}

/// What is asked for, by one profile after the other.
#[derive(Clone)]
pub(crate) struct Call {
    method: Method,
    uri: Uri,
    /// Whether the request has an extension before any layer sees it, as axum's always have.
    extensions: bool,
}

impl Call {
    /// A metered route, as it looks under axum.
    pub(crate) fn metered() -> Self {
        Self { method: Method::POST, uri: Uri::from_static("/api/ai/remix"), extensions: true }
    }

    /// A route that no quota is for.
    pub(crate) fn unmetered() -> Self {
        Self { method: Method::GET, uri: Uri::from_static("/api/recipes/17/"), ..Self::metered() }
    }

    /// The same call as a plain HTTP stack makes it, without extensions.
    pub(crate) fn without_extensions(self) -> Self {
        Self { extensions: false, ..self }
    }

    fn request(&self, profile: u64) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(PROFILE_ID.clone(), HeaderValue::from(profile));
        if self.extensions {
            let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
            request.extensions_mut().insert(peer);
        }
        request
    }

    /// Builds a request, has it served, and takes the answer's body frame by frame to its end.
    pub(crate) fn make<S, B>(&self, profile: u64, service: &mut S) -> StatusCode
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        B: http_body::Body,
    {
        let context = &mut Context::from_waker(Waker::noop());
        let Ok(()) = at_once(service.poll_ready(context));
        let Ok(response) = at_once(pin!(service.call(self.request(profile))).poll(context));
        let (parts, body) = response.into_parts();
        let mut body = pin!(body);
        while let Some(frame) = at_once(body.as_mut().poll_frame(context)) {
            black_box(frame.is_ok());
        }
        black_box(parts).status
    }

    /// The same, of a service that may wait.
    pub(crate) async fn make_and_wait<S, B>(&self, profile: u64, service: &mut S) -> StatusCode
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        B: http_body::Body,
    {
        let Ok(()) = poll_fn(|context| service.poll_ready(context)).await;
        let Ok(response) = service.call(self.request(profile)).await;
        let (parts, body) = response.into_parts();
        let mut body = pin!(body);
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            black_box(frame.is_ok());
        }
        black_box(parts).status
    }
}

/// Nothing here waits: no layer has a reason to.
fn at_once<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a layer over in-process books has nothing to wait for"),
    }
}

/// Of `profiles`, the one whose turn is `turn`: each once in `profiles` turns, in an order that no
/// prefetcher follows.
pub(crate) fn shuffled(turn: u64, profiles: u64) -> u64 {
    const PRIME: u64 = 2_654_435_761;
    turn * PRIME % profiles
}

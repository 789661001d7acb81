//! Law 3: every reservation is settled exactly once, however its request ends.

mod before_headers;
mod bodies;
mod grpc;
mod panicking_bodies;
mod policy;
mod refunds;
mod server;
mod shutdown;
mod store;
mod streams;
mod without_body;

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_quota::{HandleError, Quota, QuotaHandle, QuotaLayer, QuotaLayerBuilder, Quotas};
use tower_quota::{ResponseBody, store::Store};

use crate::support::{books, daily, daily_in, metered, noon};

/// Profile 7 may use 5 units of `remix` a day, and each request takes one.
struct Scene {
    quotas: Quotas,
    layer: QuotaLayer,
    last: Arc<Mutex<Option<QuotaHandle>>>,
}

impl Scene {
    fn new() -> Self {
        Self::with(|layer| layer)
    }

    fn with(configure: impl FnOnce(QuotaLayerBuilder) -> QuotaLayerBuilder) -> Self {
        Self::over(daily(&noon(), 5), configure)
    }

    /// The same, with the books in another store.
    fn on(store: impl Store) -> Self {
        Self::over(daily_in(store, 5), |layer| layer)
    }

    fn over(
        quotas: Quotas,
        configure: impl FnOnce(QuotaLayerBuilder) -> QuotaLayerBuilder,
    ) -> Self {
        Self { layer: configure(metered(&quotas)).build().unwrap(), quotas, last: Arc::default() }
    }

    /// `inner` behind the layer.
    fn around<S>(&self, inner: S) -> Quota<Overheard<S>> {
        self.layer.layer(Overheard { inner, last: self.last.clone() })
    }

    /// The response to a request, where this is the inner service's.
    async fn answer<B>(
        &self,
        method: Method,
        make: impl Fn() -> Response<B> + Clone,
    ) -> Response<ResponseBody<B>>
    where
        B: Body<Data = Bytes>,
    {
        let inner = service_fn(move |_| future::ready(Ok::<_, Infallible>(make())));
        let request = Request::builder().method(method).body(()).unwrap();
        self.around(inner).oneshot(request).await.unwrap()
    }

    /// The same with `GET`.
    async fn get<B>(&self, make: impl Fn() -> Response<B> + Clone) -> Response<ResponseBody<B>>
    where
        B: Body<Data = Bytes>,
    {
        self.answer(Method::GET, make).await
    }

    fn handle(&self) -> QuotaHandle {
        self.last.lock().unwrap().clone().unwrap()
    }

    /// The unit is held, and the handler may still say what it costs.
    #[track_caller]
    fn assert_held(&self) {
        assert_eq!(books(&self.quotas), (0, 1), "used and held");
    }

    /// So many units are used and none is held, and it is too late for the handler's word.
    #[track_caller]
    fn assert_settled(&self, used: u64) {
        assert_eq!(books(&self.quotas), (used, 0), "used and held");
        let word = self.handle().charge(3);
        assert!(matches!(word, Err(HandleError::Settled)), "{word:?}");
        assert_eq!(books(&self.quotas), (used, 0), "after the late word");
    }
}

/// Keeps the handle of the last request.
#[derive(Clone)]
struct Overheard<S> {
    inner: S,
    last: Arc<Mutex<Option<QuotaHandle>>>,
}

impl<S, B> Service<Request<B>> for Overheard<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let handle = request.extensions().get::<QuotaHandle>().cloned();
        *self.last.lock().unwrap() = handle;
        self.inner.call(request)
    }
}

/// The error of an inner service or body.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl Error for Broken {}

/// The work of a service that panics when it is polled again.
async fn panic_in_poll() -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::task::yield_now().await;
    panic!("in poll");
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

/// A body that does not know its length, and says that it has ended only when it is asked for more.
fn chunks<const N: usize>(
    chunks: [&'static str; N],
) -> impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + fmt::Debug {
    StreamBody::new(tokio_stream::iter(chunks.map(|chunk| Ok(data(chunk)))))
}

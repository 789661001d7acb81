//! The same over a real HTTP server, whose manners with bodies differ from a test's.

use std::convert::Infallible;
use std::future;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::{Service, service_fn};
use tower_quota::{Ending, QuotaHandle};

use super::{Broken, Scene, chunks, data, panic_in_poll};
use crate::support::books;

/// A server that serves one connection, and ends with it.
type Server = JoinHandle<hyper::Result<()>>;

/// A client of this service, and the server between them.
async fn connect<S, R>(service: S) -> (Client, Server)
where
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let (near, far) = duplex(4096);
    let service = TowerToHyperService::new(service);
    let builder = hyper::server::conn::http1::Builder::new();
    let connection = builder.serve_connection(TokioIo::new(far), service);
    let server = tokio::spawn(connection.with_upgrades());
    let (sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.with_upgrades().await) });
    (Client { sender, connection }, server)
}

struct Client {
    sender: SendRequest<Empty<Bytes>>,
    connection: JoinHandle<()>,
}

impl Client {
    async fn send(&mut self, method: Method) -> hyper::Result<Response<Incoming>> {
        let request = Request::builder().method(method).uri("/");
        self.sender.send_request(request.body(Empty::new()).unwrap()).await
    }

    /// Ends the connection politely, after what is under way.
    async fn close(self) {
        drop(self.sender);
        self.connection.await.unwrap();
    }
}

fn answering<B>(
    make: impl Fn() -> Response<B> + Clone,
) -> impl Service<
    Request<Incoming>,
    Response = Response<B>,
    Error = Infallible,
    Future = future::Ready<Result<Response<B>, Infallible>>,
> + Clone {
    service_fn(move |_| future::ready(Ok(make())))
}

#[tokio::test]
async fn a_chunked_body_commits() {
    let scene = Scene::new();
    let inner = answering(|| Response::new(chunks(["one", "two"])));
    let (mut client, server) = connect(scene.around(inner)).await;
    let response = client.send(Method::GET).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "onetwo");
    client.close().await;
    server.await.unwrap().unwrap();
    scene.assert_settled(1);
}

/// With this length announced, hyper drops the body after its last byte instead of asking on.
#[tokio::test]
async fn a_body_of_its_content_length_is_complete() {
    let endings = Arc::new(Mutex::new(Vec::new()));
    let log = endings.clone();
    let scene = Scene::with(|layer| {
        layer.outcome_policy(move |outcome| {
            log.lock().unwrap().push((outcome.ending(), outcome.body_bytes()));
            outcome.settlement()
        })
    });
    let inner = answering(|| {
        let builder = Response::builder().header(CONTENT_LENGTH, 6);
        builder.body(chunks(["one", "two"])).unwrap()
    });
    let (mut client, server) = connect(scene.around(inner)).await;
    let response = client.send(Method::GET).await.unwrap();
    response.into_body().collect().await.unwrap();
    client.close().await;
    server.await.unwrap().unwrap();
    scene.assert_settled(1);
    let seen = endings.lock().unwrap().clone();
    assert_eq!(seen, [(Ending::Headers, 0), (Ending::Complete, 6)]);
}

#[tokio::test]
async fn head_commits() {
    let scene = Scene::new();
    let inner = answering(|| Response::new(chunks(["never read"])));
    let (mut client, server) = connect(scene.around(inner)).await;
    let response = client.send(Method::HEAD).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    // Settled with the headers, so before the client has them.
    scene.assert_settled(1);
    client.close().await;
    server.await.unwrap().unwrap();
    scene.assert_settled(1);
}

#[tokio::test]
async fn each_request_of_a_connection_is_settled() {
    let scene = Scene::new();
    let inner = answering(|| Response::new(Full::from("all")));
    let (mut client, server) = connect(scene.around(inner)).await;
    for _ in 0..3 {
        let response = client.send(Method::GET).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    client.close().await;
    server.await.unwrap().unwrap();
    scene.assert_settled(3);
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_headers_pays_nothing() {
    let scene = Scene::new();
    let (mut arrived, mut arrivals) = mpsc::channel(1);
    let inner = service_fn(move |_: Request<Incoming>| {
        arrived.try_send(()).unwrap();
        future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let (mut client, server) = connect(scene.around(inner)).await;
    let connection = client.connection.abort_handle();
    let sent = tokio::spawn(async move { client.send(Method::GET).await });
    arrivals.next().await.unwrap();
    scene.assert_held();
    connection.abort();
    sent.await.unwrap().unwrap_err();
    drop(server.await.unwrap());
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_client_that_goes_away_midway_has_had_its_answer() {
    let scene = Scene::new();
    let (mut frames, receiver) = mpsc::channel(1);
    let body = Arc::new(Mutex::new(Some(StreamBody::new(receiver))));
    let inner = answering(move || Response::new(body.lock().unwrap().take().unwrap()));
    let (mut client, server) = connect(scene.around(inner)).await;
    let mut response = client.send(Method::GET).await.unwrap();
    frames.send(Ok::<_, Infallible>(data("one"))).await.unwrap();
    response.frame().await.unwrap().unwrap();
    scene.assert_held();
    client.connection.abort();
    drop(server.await.unwrap());
    scene.assert_settled(1);
}

#[tokio::test]
async fn a_body_that_fails_releases() {
    let scene = Scene::new();
    let inner = answering(|| {
        Response::new(StreamBody::new(tokio_stream::iter([Ok(data("one")), Err(Broken)])))
    });
    let (mut client, server) = connect(scene.around(inner)).await;
    // What the client sees depends on how much was flushed; it is cut off in any case.
    drop(client.send(Method::GET).await);
    server.await.unwrap().unwrap_err();
    scene.assert_settled(0);
}

#[tokio::test]
async fn a_handler_that_panics_releases() {
    let scene = Scene::new();
    let inner = service_fn(|_: Request<Incoming>| panic_in_poll());
    let (mut client, server) = connect(scene.around(inner)).await;
    client.send(Method::GET).await.unwrap_err();
    assert!(server.await.unwrap_err().is_panic());
    scene.assert_settled(0);
}

/// The upgraded connection outlives the response, and so does what it holds.
#[tokio::test]
async fn an_upgrade_takes_its_reservation_along() {
    let scene = Scene::new();
    let (ended, end) = oneshot::channel();
    let ended = Arc::new(Mutex::new(Some(ended)));
    let inner = service_fn(move |mut request: Request<Incoming>| {
        let quota = request.extensions().get::<QuotaHandle>().unwrap();
        let reservation = quota.take().unwrap().unwrap();
        let upgrade = hyper::upgrade::on(&mut request);
        let ended = ended.lock().unwrap().take().unwrap();
        tokio::spawn(async move {
            let mut socket = TokioIo::new(upgrade.await.unwrap());
            let mut spoken = Vec::new();
            socket.read_to_end(&mut spoken).await.unwrap();
            reservation.commit_units(spoken.len() as u64);
            ended.send(()).unwrap();
        });
        let switching = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(UPGRADE, "tape")
            .header(CONNECTION, "upgrade");
        future::ready(Ok::<_, Infallible>(switching.body(Empty::<Bytes>::new()).unwrap()))
    });
    let (mut client, server) = connect(scene.around(inner)).await;
    let request = Request::builder().uri("/").header(UPGRADE, "tape").header(CONNECTION, "upgrade");
    let response = client.sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    server.await.unwrap().unwrap();
    // For the layer the request is over; its unit is not.
    scene.handle().release().unwrap_err();
    scene.assert_held();

    let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    socket.write_all(b"abcd").await.unwrap();
    scene.assert_held();
    drop(socket);
    end.await.unwrap();
    assert_eq!(books(&scene.quotas), (4, 0));
}

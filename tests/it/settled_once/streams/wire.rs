//! A client, a server of either version of HTTP, and the wire between them, which can be cut.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Request, Response, Version};
use http_body_util::Empty;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::server::conn::{http1 as serve1, http2 as serve2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tower::service_fn;
use tower_quota::{Ending, Outcome, Settlement};

use crate::settled_once::{Broken, Scene};

/// The versions that a stream has to settle right over.
pub(super) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// What a request is answered with.
pub(super) type Answer = BoxBody<Bytes, Broken>;

/// The default policy.
pub(super) fn by_default(outcome: &Outcome<'_>) -> Settlement {
    outcome.settlement()
}

/// One connection to a scene whose policy says what it was asked.
pub(super) struct Stage {
    pub(super) scene: Scene,
    client: Client,
    server: JoinHandle<hyper::Result<()>>,
    wire: JoinHandle<()>,
    /// The requests that have arrived at the inner service, each with the way to answer it.
    arrivals: mpsc::UnboundedReceiver<oneshot::Sender<Answer>>,
    /// What the policy was asked in the end: with how many bytes of the body.
    endings: mpsc::UnboundedReceiver<(Ending, u64)>,
}

#[derive(Clone)]
enum Client {
    One(Arc<Mutex<http1::SendRequest<Empty<Bytes>>>>),
    Two(http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    async fn connect(version: Version, io: DuplexStream) -> Self {
        let io = TokioIo::new(io);
        if version == Version::HTTP_2 {
            let shaking = http2::handshake(TokioExecutor::new(), io);
            let (sender, connection) = shaking.await.unwrap();
            tokio::spawn(connection);
            Self::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Self::One(Arc::new(sender.into()))
        }
    }

    async fn send(self) -> hyper::Result<Response<Incoming>> {
        let request = Request::get("http://stream.test/").body(Empty::new()).unwrap();
        match self {
            Self::One(sender) => {
                let answer = sender.lock().await.send_request(request);
                answer.await
            }
            Self::Two(mut sender) => sender.send_request(request).await,
        }
    }
}

/// A request whose answer is awaited. Without its task nobody waits.
pub(super) type Sent = JoinHandle<hyper::Result<Response<Incoming>>>;

impl Stage {
    pub(super) async fn over(version: Version) -> Self {
        Self::with(version, None, by_default).await
    }

    /// The same for streams that announce this length, with a policy of one's own.
    pub(super) async fn with(
        version: Version,
        length: Option<u64>,
        policy: impl Fn(&Outcome<'_>) -> Settlement + Send + Sync + 'static,
    ) -> Self {
        let (asked, endings) = mpsc::unbounded();
        let scene = Scene::with(|layer| {
            layer.outcome_policy(move |outcome| {
                if outcome.ending() != Ending::Headers {
                    let ending = (outcome.ending(), outcome.body_bytes());
                    asked.unbounded_send(ending).unwrap();
                }
                policy(outcome)
            })
        });
        let (arrived, arrivals) = mpsc::unbounded();
        let service = scene.around(service_fn(move |_: Request<Incoming>| {
            let (answer, answered) = oneshot::channel();
            arrived.unbounded_send(answer).unwrap();
            async move {
                let mut response = Response::new(answered.await.expect("the inner service panics"));
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, "text/event-stream".parse().unwrap());
                headers.extend(length.map(|length| (CONTENT_LENGTH, length.into())));
                Ok::<_, Infallible>(response)
            }
        }));
        let service = TowerToHyperService::new(service);

        let (near, mut near_end) = duplex(4096);
        let (mut far_end, far) = duplex(4096);
        let wire = tokio::spawn(async move {
            drop(copy_bidirectional(&mut near_end, &mut far_end).await);
        });
        let far = TokioIo::new(far);
        let server = tokio::spawn(async move {
            if version == Version::HTTP_2 {
                let builder = serve2::Builder::new(TokioExecutor::new());
                builder.serve_connection(far, service).await
            } else {
                serve1::Builder::new().serve_connection(far, service).await
            }
        });
        let client = Client::connect(version, near).await;
        Self { scene, client, server, wire, arrivals, endings }
    }

    /// Sends a request, and waits until the inner service has it.
    pub(super) async fn send(&mut self) -> (Sent, oneshot::Sender<Answer>) {
        let sent = tokio::spawn(self.client.clone().send());
        (sent, self.arrivals.next().await.unwrap())
    }

    /// Sends a request, and waits for the headers of its answer.
    pub(super) async fn begin(&mut self, answer: Answer) -> Response<Incoming> {
        let (sent, answers) = self.send().await;
        answers.send(answer).unwrap();
        sent.await.unwrap().unwrap()
    }

    /// How the next request ends.
    pub(super) async fn ending(&mut self) -> (Ending, u64) {
        self.endings.next().await.unwrap()
    }

    /// The policy was not asked any more.
    #[track_caller]
    pub(super) fn assert_nothing_else_ended(&mut self) {
        let more = self.endings.try_recv();
        assert!(more.is_err(), "{more:?}");
    }

    /// Cuts the wire: neither end hears of the other any more.
    pub(super) fn cut(&self) {
        self.wire.abort();
    }

    /// Waits for the server's end, once the client has no more to send.
    pub(super) async fn close(self) -> Scene {
        drop(self.client);
        // How it puts a client that has gone away is its affair.
        drop(self.server.await.unwrap());
        self.scene
    }
}

//! The example `recipe_app`, as a program over real sockets.

mod ai;
mod endings;
mod operators;
mod routes;
mod scenarios;
mod settings;
#[cfg(feature = "remote")]
mod shared;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::task::yield_now;

use crate::support::programs::{Client, Program, Reply, to};

/// The six features, and their routes.
const ROUTES: [(&str, Method, &str); 6] = [
    ("remix", Method::POST, "/api/ai/remix"),
    ("remix_suggestions", Method::POST, "/api/ai/remix-suggestions"),
    ("scale", Method::POST, "/api/ai/scale"),
    ("tips", Method::POST, "/api/ai/tips"),
    ("discover", Method::GET, "/api/ai/discover/1/"),
    ("timer", Method::POST, "/api/ai/timer-name"),
];

const REMIX: &str = "/api/ai/remix";
const TIPS: &str = "/api/ai/tips";
const DISCOVER: &str = "/api/ai/discover/1/";
const QUOTAS: &str = "/api/ai/quotas";

/// How often a server is asked before a test gives up waiting for it. A lost client is noticed when
/// the server's runtime gets to it, which is within very few of these round trips.
const ROUND_TRIPS: usize = 10_000;

/// The running app, used as profile 7.
struct App(Program);

impl App {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(variables: &[(&str, &str)]) -> Self {
        Self(Program::start("recipe_app", variables).await)
    }

    /// Sends a POST.
    async fn post(&self, path: &str) -> Reply {
        self.send_as("7", Method::POST, path).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send_as("7", Method::GET, path).await
    }

    async fn send_as(&self, profile: &str, method: Method, path: &str) -> Reply {
        let request = to(method, path).header("x-profile-id", profile);
        self.0.send(request.body(Full::default()).unwrap()).await
    }

    /// Sends a POST, and waits for the headers alone.
    async fn begin(&self, path: &str) -> (Client, Response<Incoming>) {
        let mut client = self.0.connect().await;
        let response = client.send(post(path, "")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        (client, response)
    }

    /// What `GET /api/ai/quotas` says.
    async fn quotas(&self) -> Value {
        let reply = self.get(QUOTAS).await;
        assert_eq!(reply.status, StatusCode::OK);
        reply.json()
    }

    /// What is used and held of a feature.
    async fn books(&self, feature: &str) -> (u64, u64) {
        books(&self.quotas().await, feature)
    }

    /// Waits until the books of a feature are so.
    async fn wait_for(&self, feature: &str, is_so: impl Fn(u64, u64) -> bool) {
        self.wait_long_for(ROUND_TRIPS, feature, is_so).await;
    }

    /// The same for so many round trips.
    async fn wait_long_for(
        &self,
        round_trips: usize,
        feature: &str,
        is_so: impl Fn(u64, u64) -> bool,
    ) {
        let mut client = self.0.connect().await;
        let mut seen = (0, 0);
        for _ in 0..round_trips {
            let request = to(Method::GET, QUOTAS).header("x-profile-id", "7");
            let response = client.send(request.body(Full::default()).unwrap()).await;
            seen = books(&Reply::hear(response.unwrap()).await.json(), feature);
            if is_so(seen.0, seen.1) {
                return;
            }
            yield_now().await;
        }
        panic!("{round_trips} round trips later, {} are used and {} held", seen.0, seen.1);
    }
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = to(Method::POST, path).header("x-profile-id", "7");
    request.body(Full::new(body.into())).unwrap()
}

fn books(quotas: &Value, feature: &str) -> (u64, u64) {
    let number = |what: &str| quotas[what][feature].as_u64().unwrap();
    (number("usage"), number("held"))
}

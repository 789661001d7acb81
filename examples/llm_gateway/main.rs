//! A gateway that meters tokens: `cargo run --example llm_gateway`.
//!
//! `POST /v1/chat/completions` goes on to a backend in the style of OpenAI, which is pretended and
//! started here as well, and its answer comes back as it is streamed. Requests and tokens are limited
//! side by side: about as many tokens as the answer may have are set aside before, more if the stream
//! outgrows them, and what it says that it took is charged in the end. When there is no more, it ends as
//! one that grew too long. `GET /v1/usage` shows both.
//!
//! | ending | tokens |
//! |---|---|
//! | the backend has said how many it took, whatever came after | so many, also above the limit |
//! | it has not, and the stream ended, or the client went away | what was set aside: the estimate, and more |
//! | the stream outgrew what was left of the day's | what was set aside |
//! | the backend failed before or within its answer, or the client went away before it | none, and no request |
//!
//! The header `authorization: Bearer sk-ada` says who pays; `sk-bob` is another key. The backend obeys
//! the query string: see `backend.rs`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | address and port, 0 for any free port | `127.0.0.1:3000` |
//! | `REQUESTS` | requests a day, for each key | 20 |
//! | `TOKENS` | tokens a day, for each key | 1,000 |

mod backend;
mod gateway;
mod stream;
mod tokens;

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;

use axum::Router;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::routing::{get_service, post};
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::signal;
use tower_quota::{
    ConfigError, Limit, Plan, Profile, QuotaLayer, Quotas, Rule, Unidentified, Window,
};

use gateway::Backend;

const PLAN: &str = "developer";
const COMPLETIONS: &str = "/v1/chat/completions";
/// The keys, and whose they are: the books know names alone.
const KEYS: [(&str, &str); 2] = [("sk-ada", "ada"), ("sk-bob", "bob")];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let plan = plan(amount("REQUESTS", 20)?, amount("TOKENS", 1_000)?);
    let quotas = Quotas::builder().plan(plan).build()?;
    let backend = TcpListener::bind("127.0.0.1:0").await?;
    let router = router(&quotas, Backend::new(backend.local_addr()?))?;
    tokio::spawn(async { axum::serve(backend, backend::router()).await });

    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    let interrupted = signal::ctrl_c().map(drop).shared();
    // The first poll starts to catch the signal: before anybody can know that the server is up.
    let _ = interrupted.clone().now_or_never();
    announce(listener.local_addr()?);
    axum::serve(listener, router).with_graceful_shutdown(interrupted).await?;
    quotas.shutdown().await?;
    Ok(())
}

fn plan(requests: u64, tokens: u64) -> Plan {
    let limits = [
        Limit::new(requests, Window::Day).named("requests").per_request(),
        Limit::new(tokens, Window::Day).named("tokens").unit("tokens"),
    ];
    Plan::new(PLAN).feature("chat", limits)
}

/// The gateway reserves by itself, once it has read what a request asks for.
fn router(quotas: &Quotas, backend: Backend) -> Result<Router, ConfigError> {
    let challenge = HeaderValue::from_static("Bearer realm=\"llm\"");
    let layer = QuotaLayer::builder(quotas.clone())
        .route(Method::POST, COMPLETIONS, Rule::new("chat").reserve_in_handler())
        .profile(|head| profile(head.headers))
        .unidentified(Unidentified::Challenge(challenge))
        .build()?;
    let router = Router::new()
        .route(COMPLETIONS, post(gateway::complete))
        .route("/v1/usage", get_service(layer.usage()));
    Ok(router.layer(layer).with_state(backend))
}

fn profile(headers: &HeaderMap) -> Option<Profile> {
    let key = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let (_, owner) = KEYS.iter().find(|(known, _)| *known == key)?;
    Some(Profile::new(owner, PLAN))
}

fn amount(variable: &str, default: u64) -> Result<u64, String> {
    let Ok(amount) = env::var(variable) else { return Ok(default) };
    amount.parse().map_err(|error| format!("{variable}: {amount:?}: {error}"))
}

/// Says where the server is, and how to see a stream, a denial and the usage. It serves just as well
/// if nobody listens.
fn announce(address: SocketAddr) {
    let key = "-H 'authorization: Bearer sk-ada'";
    let question =
        r#"{"messages":[{"role":"user","content":"Why?"}],"max_tokens":300,"stream":true}"#;
    let ask = format!(
        "curl -iN -X POST {key} -d '{question}' 'http://{address}{COMPLETIONS}?tokens=800'"
    );
    let usage = format!("curl -i {key} http://{address}/v1/usage");
    let lines = format!("listening on http://{address}\n{ask}\n{ask}\n{usage}\n");
    let _ = io::stdout().write_all(lines.as_bytes());
}

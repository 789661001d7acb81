//! Three counts for each request: `cargo run --example multi_tenant`.
//!
//! `POST /ask` takes one unit from the user's limit, from that of the user's company and from that of
//! the whole app, or from none of them. `GET /usage` shows all three.
//!
//! | limit | whose | plan `team` | plan `business` |
//! |---|---|---|---|
//! | `user` | the profile's | 20 a day | 100 |
//! | `company` | the tenant's | 500 a day | 2,500 |
//! | `app` | everyone's | 10,000 a day | the same count |
//!
//! The headers `x-user: ada` and `x-company: acme` say who asks; `acme` is on plan `business`, all
//! others are on `team`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | address and port, 0 for any free port | `127.0.0.1:3000` |
//! | `LIMITS` | a day, of plan `team` | `user=20,company=500,app=10000` |

mod limits;
mod people;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;

use axum::http::Method;
use axum::routing::{get_service, post};
use axum::{Extension, Json, Router};
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal;
use tower_quota::{QuotaHandle, QuotaLayer, Quotas, Standing};

use limits::Limits;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let limits = match env::var("LIMITS") {
        Ok(limits) => Limits::parse(&limits)?,
        Err(_) => Limits::default(),
    };
    let quotas = Quotas::builder().plan(limits.team()).plan(limits.business()).build()?;
    let layer = QuotaLayer::builder(quotas.clone())
        .route(Method::POST, "/ask", limits::FEATURE)
        .profile(|head| people::profile(head.headers))
        .denial(limits::say_which)
        .build()?;
    let router = Router::new()
        .route("/ask", post(answer))
        .route("/usage", get_service(layer.usage()))
        .layer(layer);

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

/// Answers, and says what is left as the layer has found it.
async fn answer(Extension(quota): Extension<QuotaHandle>) -> Json<Value> {
    let standing = quota.standing();
    let statuses = standing.iter().flat_map(Standing::statuses);
    let left: BTreeMap<_, _> =
        statuses.map(|status| (status.limit().to_owned(), status.remaining())).collect();
    Json(json!({ "answer": 42, "left": left }))
}

/// Says where the server is, and how to see a grant and the usage. It serves just as well if nobody
/// listens.
fn announce(address: SocketAddr) {
    let who = "-H 'x-user: ada' -H 'x-company: acme'";
    let ask = format!("curl -i -X POST {who} http://{address}/ask");
    let usage = format!("curl -i {who} http://{address}/usage");
    let lines = format!("listening on http://{address}\n{ask}\n{usage}\n");
    let _ = io::stdout().write_all(lines.as_bytes());
}

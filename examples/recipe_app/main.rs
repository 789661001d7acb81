//! A recipe app that meters its AI: `cargo run --example recipe_app`.
//!
//! | route | feature | a day |
//! |---|---|---|
//! | `POST /api/ai/remix` | `remix` | 1 |
//! | `POST /api/ai/remix-suggestions` | `remix_suggestions` | 2 |
//! | `POST /api/ai/scale` | `scale` | 2 |
//! | `POST /api/ai/tips` | `tips` | 2 |
//! | `GET /api/ai/discover/{id}/` | `discover` | 1 |
//! | `POST /api/ai/timer-name` | `timer` | 3 |
//!
//! The header `x-profile-id: 7` says who pays. `GET /api/ai/quotas` shows what they have used. The
//! AI is pretended, and obeys the query string: `?status=503`, `?delay_ms=500`,
//! `?chunks=5&gap_ms=100`, `?cut=1`, `?panic=1`, `?cached=1`.
//!
//! Operators send `authorization: Bearer $OPERATOR_TOKEN`, to `PUT /api/ai/quotas` (`{"tips":5}`)
//! and to `POST /api/profiles/{id}/set-unlimited/` (`{"unlimited":true}`).
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | address and port, 0 for any free port | `127.0.0.1:3000` |
//! | `AUTH_MODE` | `passkey` meters, `home` does not | `passkey` |
//! | `LIMITS` | overrides, such as `remix=50,tips=3` | none |
//! | `OPERATOR_TOKEN` | opens the operators' routes | none: they are not there |
//! | `STORE` | `memory`, `sqlite:PATH`, `postgres://…` or `redis://…` | `memory` |
//! | `LEASE` | how long a hold outlives its process, such as `10s` | `60s` |
//!
//! With feature `tz`, `x-profile-zone: Europe/Berlin` says where a member's days begin; without it, or
//! with a zone that there is not, they begin in UTC. A member who moves finishes the day first.
//!
//! A store other than `memory` needs its feature: `cargo run --example recipe_app --features redis`.

mod ai;
mod app;
mod books;
mod members;
mod operators;
mod problem;
mod settings;
mod usage;

use std::error::Error;
use std::fmt::Display;
use std::future::IntoFuture;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use axum::Router;
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::signal;
use tower_quota::Quotas;

use app::App;
use settings::Settings;

const BAD_SETTING: u8 = 2;
/// What a shell reports of a program that an interrupt ended.
const INTERRUPTED: u8 = 128 + 2;

#[tokio::main]
async fn main() -> ExitCode {
    let (listener, quotas, router) = match prepare().await {
        Ok(prepared) => prepared,
        Err(error) => return fail(BAD_SETTING, &error),
    };
    match serve(listener, quotas, router).await {
        Ok(code) => code,
        Err(error) => fail(1, &error),
    }
}

async fn prepare() -> Result<(TcpListener, Quotas, Router), Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.map_err(|error| format!("LISTEN: {}: {error}", settings.listen))?;
    let store = books::open(&settings.store, settings.lease).await;
    let store = store.map_err(|error| format!("STORE: {}", in_full(&*error)))?;
    let app = App::new(settings, store)?;
    Ok((listener, app.quotas.clone(), app.router()?))
}

/// Serves until Ctrl-C. Then requests in flight may end, unless there is a second Ctrl-C.
async fn serve(
    listener: TcpListener,
    quotas: Quotas,
    router: Router,
) -> Result<ExitCode, Box<dyn Error>> {
    let interrupted = signal::ctrl_c().map(drop).shared();
    // The first poll starts to catch the signal: before anybody can know that the server is up.
    let _ = interrupted.clone().now_or_never();
    announce(listener.local_addr()?);
    let server = axum::serve(listener, router).with_graceful_shutdown(interrupted.clone());
    let code = tokio::select! {
        ended = server.into_future() => ended.map(|()| ExitCode::SUCCESS)?,
        () = interrupted.then(|()| signal::ctrl_c().map(drop)) => ExitCode::from(INTERRUPTED),
    };
    quotas.shutdown().await?;
    Ok(code)
}

/// Says where the server is, and how to see a grant, a denial and the usage. It serves just as well
/// if nobody listens.
fn announce(address: SocketAddr) {
    let remix = format!("curl -i -X POST -H 'x-profile-id: 7' http://{address}/api/ai/remix");
    let usage = format!("curl -i -H 'x-profile-id: 7' http://{address}/api/ai/quotas");
    let lines = format!("listening on http://{address}\n{remix}\n{remix}\n{usage}\n");
    let _ = io::stdout().write_all(lines.as_bytes());
}

/// An error and what it comes from.
fn in_full(error: &dyn Error) -> String {
    let source = error.source().map(|source| format!(": {}", in_full(source)));
    format!("{error}{}", source.unwrap_or_default())
}

fn fail(code: u8, error: &impl Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "recipe_app: {error}");
    ExitCode::from(code)
}

//! The layer over a plain hyper service, without axum: `cargo run --example hyper_server`.
//!
//! Each address may say hello three times a day. `LISTEN` is the address and port to listen on, by
//! default `127.0.0.1:3000`. Ctrl-C lets requests in flight end.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Limit, PeerIp, Plan, QuotaHandle, QuotaLayer, Quotas, Window};

/// Who is at the other end. The server puts it into each request.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // It is there on every metered route.
    let quota = request.extensions().get::<QuotaHandle>();
    let Some(left) = quota.and_then(QuotaHandle::remaining) else {
        let mut response = Response::new(Full::from("nothing here\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let greeting = format!("hello, you have {left} left\n");
    Ok(Response::new(Full::from(greeting)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let quotas = Quotas::builder()
        .plan(Plan::new("guest").feature("hello", [Limit::new(3, Window::Day)]))
        .build()?;
    let layer = QuotaLayer::builder(quotas.clone())
        .route(Method::GET, "/hello", "hello")
        .identify(PeerIp::from_extension(|peer: &Peer| peer.0.ip()))
        .plan("guest")
        .build()?;
    let service = layer.layer(service_fn(answer));

    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    let mut interrupted = pin!(signal::ctrl_c().fuse());
    // The first poll starts to catch the signal: before anybody can know that the server is up.
    let _ = interrupted.as_mut().now_or_never();
    let address = listener.local_addr()?;
    // It serves just as well if nobody listens.
    let _ = writeln!(io::stdout(), "listening on http://{address}");

    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut interrupted => break,
        };
        let Ok((stream, peer)) = accepted else {
            // The system is short of something: it may have it in a moment.
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        let service = service.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(Peer(peer));
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A connection that fails is the client's affair: its reservation is settled all the same.
        tokio::spawn(connections.watch(connection).map(drop));
    }
    drop(listener);
    connections.shutdown().await;
    quotas.shutdown().await?;
    Ok(())
}

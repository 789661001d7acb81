//! A server behind a proxy.

use std::time::Duration;

use tower_quota::Timestamp;
use tower_quota::store::{PostgresBooks, RemoteBooks};

use crate::support::proxy::Proxy;
use crate::support::servers::Postgres;

/// Books behind a proxy, and others that reach the server directly.
pub(super) struct Network {
    pub(super) proxy: Proxy,
    pub(super) books: PostgresBooks,
    pub(super) direct: PostgresBooks,
    pub(super) server: Postgres,
}

impl Network {
    pub(super) async fn new(connections: u32, timeout: Duration) -> Self {
        let server = Postgres::start();
        let direct = PostgresBooks::builder(server.url()).timeout(Duration::from_secs(60));
        let direct = direct.connect().await.unwrap();
        direct.migrate().await.unwrap();
        let proxy = Proxy::start(&*server.socket()).await;
        let books =
            PostgresBooks::builder(url_through(&proxy)).connections(connections).timeout(timeout);
        Self { books: books.connect().await.unwrap(), proxy, direct, server }
    }

    pub(super) async fn now(&self) -> Timestamp {
        self.direct.time().await.unwrap()
    }
}

pub(super) fn url_through(proxy: &Proxy) -> String {
    let port = proxy.address().port();
    format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
}

//! What only books in a PostgreSQL database have. The contract is tested for all books alike.

mod faults;
mod given_up;
mod innocent;
mod network;
mod overtaken;
mod server;
mod sweep;
mod tables;

use std::sync::Arc;

use tower_quota::ManualClock;
use tower_quota::store::{Lease, PostgresBooks};

use crate::remote_books::{SECOND, check_episodes, check_many_lapsed};
use crate::support::noon;
use server::Server;

const LEASE: Lease = Lease { length: SECOND.saturating_mul(10), keep: SECOND.saturating_mul(30) };

/// A database and books in it. The server runs as long as somebody has one.
struct Fixture {
    url: String,
    clock: ManualClock,
    books: PostgresBooks,
    _server: Arc<Server>,
}

impl Fixture {
    async fn new() -> Self {
        let server = Server::shared();
        let (url, clock) = (server.database().await, noon());
        let books = PostgresBooks::builder(&url).lease(LEASE).clock(clock.clone());
        let books = books.connect().await.unwrap();
        books.migrate().await.unwrap();
        Self { url, clock, books, _server: server }
    }
}

#[tokio::test]
async fn do_as_the_model_does() {
    let fixture = Fixture::new().await;
    check_episodes(&fixture.books, &fixture.clock, 0..100).await;
}

#[tokio::test]
async fn nobody_is_denied_while_an_expired_hold_remains() {
    let fixture = Fixture::new().await;
    check_many_lapsed(&fixture.books, &fixture.clock).await;
}

//! The contract of stores, and that of books outside of this process.

use std::time::Duration;

use tower_quota::ManualClock;
use tower_quota::contract::Subject;
use tower_quota::store::{PostgresBooks, Remote, RemoteOptions};

use crate::support::noon;
use crate::support::servers::Postgres;

/// Only reached where something hangs, however busy the machine is: what is tested are no time-outs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same, and shorter than the 20 seconds by which laws move the clock on until a reserve that was
/// dropped can be given back.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Books in a database of a test's own.
struct Database {
    url: String,
    clock: ManualClock,
}

impl Database {
    async fn new() -> Self {
        let database = Self { url: Postgres::shared().database(), clock: noon() };
        database.open().await.migrate().await.unwrap();
        database
    }
}

impl Subject for Database {
    type Books = PostgresBooks;

    async fn open(&self) -> PostgresBooks {
        let builder = PostgresBooks::builder(&self.url).clock(self.clock.clone());
        builder.timeout(PATIENCE).connect().await.unwrap()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn episodes(&self) -> u64 {
        50
    }
}

/// The same books, as a store.
struct Wrapped(Database);

impl Subject for Wrapped {
    type Books = Remote<PostgresBooks>;

    async fn open(&self) -> Remote<PostgresBooks> {
        let options = RemoteOptions::new().timeout(TIMEOUT).flush_within(PATIENCE);
        Remote::new(self.0.open().await, options)
    }

    fn clock(&self) -> &ManualClock {
        self.0.clock()
    }
}

mod books {
    use super::Database;

    tower_quota::contract!(RemoteBooks: Database::new().await);
}

mod store {
    use super::{Database, Wrapped};

    tower_quota::contract!(Store: Wrapped(Database::new().await));
}

//! The contract of stores, and that of books outside of this process.

use std::time::Duration;

use tower_quota::ManualClock;
use tower_quota::contract::Subject;
use tower_quota::store::{Remote, RemoteOptions, SqliteBooks};

use crate::support::{Directory, noon};

/// Only reached where something hangs, however busy the machine is: what is tested are no time-outs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same, and shorter than the 20 seconds by which laws move the clock on until a reserve that was
/// dropped can be given back.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Books in a file of a test's own.
struct File {
    directory: Directory,
    clock: ManualClock,
}

impl File {
    async fn new() -> Self {
        let file = Self { directory: Directory::new(), clock: noon() };
        file.open().await.migrate().await.unwrap();
        file
    }
}

impl Subject for File {
    type Books = SqliteBooks;

    async fn open(&self) -> SqliteBooks {
        let builder = SqliteBooks::builder(self.directory.path().join("quota.db"));
        builder.clock(self.clock.clone()).timeout(PATIENCE).connect().await.unwrap()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn episodes(&self) -> u64 {
        50
    }
}

/// The same books, as a store.
struct Wrapped(File);

impl Subject for Wrapped {
    type Books = Remote<SqliteBooks>;

    async fn open(&self) -> Remote<SqliteBooks> {
        let options = RemoteOptions::new().timeout(TIMEOUT).flush_within(PATIENCE);
        Remote::new(self.0.open().await, options)
    }

    fn clock(&self) -> &ManualClock {
        self.0.clock()
    }
}

mod books {
    use super::File;

    tower_quota::contract!(RemoteBooks: File::new().await);
}

mod store {
    use super::{File, Wrapped};

    tower_quota::contract!(Store: Wrapped(File::new().await));
}

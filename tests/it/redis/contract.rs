//! The contract, kept by books on one server and on a Cluster, and by the stores made of them.

use std::time::Duration;

use tower_quota::ManualClock;
use tower_quota::contract::Subject;
use tower_quota::store::{RedisBooks, RedisBooksBuilder, Remote, RemoteOptions};

use super::new_prefix;
use crate::support::noon;
use crate::support::servers::{Redis, RedisCluster};

/// Only reached where something hangs, however busy the machine is: what is tested are no time-outs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same, and shorter than the 20 seconds by which laws move the clock on until a reserve that was
/// dropped can be given back.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Books below a prefix of their own, on servers that all tests share.
struct Books {
    place: fn() -> RedisBooksBuilder,
    prefix: String,
    clock: ManualClock,
}

impl Books {
    fn at(place: fn() -> RedisBooksBuilder) -> Self {
        Self { place, prefix: new_prefix(), clock: noon() }
    }
}

impl Subject for Books {
    type Books = RedisBooks;

    async fn open(&self) -> RedisBooks {
        let builder = (self.place)().prefix(&self.prefix).clock(self.clock.clone());
        builder.timeout(PATIENCE).connect().await.unwrap()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn episodes(&self) -> u64 {
        100
    }
}

/// Stores made of books.
struct Stores(Books);

impl Subject for Stores {
    type Books = Remote<RedisBooks>;

    async fn open(&self) -> Remote<RedisBooks> {
        let options = RemoteOptions::new().timeout(TIMEOUT).flush_within(PATIENCE);
        Remote::new(self.0.open().await, options)
    }

    fn clock(&self) -> &ManualClock {
        self.0.clock()
    }
}

fn server() -> RedisBooksBuilder {
    RedisBooks::builder(Redis::shared().url())
}

fn cluster() -> RedisBooksBuilder {
    RedisBooks::cluster(RedisCluster::shared().urls())
}

mod books_on_a_server {
    use super::{Books, server};

    tower_quota::contract!(RemoteBooks: Books::at(server));
}

mod store_on_a_server {
    use super::{Books, Stores, server};

    tower_quota::contract!(Store: Stores(Books::at(server)));
}

mod books_on_a_cluster {
    use super::{Books, cluster};

    tower_quota::contract!(RemoteBooks: Books::at(cluster));
}

mod store_on_a_cluster {
    use super::{Books, Stores, cluster};

    tower_quota::contract!(Store: Stores(Books::at(cluster)));
}

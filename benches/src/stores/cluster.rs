//! How often a Redis Cluster is asked.

use std::time::Instant;

use tokio::runtime::Runtime;
use tower_quota::store::RedisBooks;

use super::engine::{Engine, ONE, PATIENCE};
use super::load::in_flight;
use super::servers::Cluster;
use super::{MANY, Scale};
use crate::report::heading;

/// Settlements of different profiles lie in different slots, which no script can reach together.
pub(crate) fn cluster(runtime: &Runtime, scale: &Scale) {
    heading(&format!("Redis Cluster of three: {MANY} in flight, profiles: {}", scale.profiles));
    let cluster = Cluster::start();
    runtime.block_on(async {
        let builder = RedisBooks::cluster(cluster.urls()).timeout(PATIENCE);
        let books = builder.connect().await.expect("a Cluster");
        let engine = Engine::of(books, scale.profiles);
        let (before, start) = (cluster.counters(), Instant::now());
        let load = (MANY, 4 * scale.turn);
        let requests = in_flight(load, &Default::default(), engine.spending(ONE)).await;
        engine.flush().await;
        let (elapsed, counted) = (start.elapsed(), cluster.counters().since(before));
        println!(
            "  {requests} requests, {:.0} a second; for each of them {:.2} commands, and {:.2} reads \
             from sockets, which is about how often pipelines were flushed",
            requests as f64 / elapsed.as_secs_f64(),
            counted.commands as f64 / requests as f64,
            counted.reads as f64 / requests as f64
        );
    });
}

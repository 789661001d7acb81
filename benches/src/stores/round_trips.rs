//! How often the server is asked. It is the server that counts.

use std::time::Instant;

use tokio::runtime::Runtime;
use tower_quota::store::RedisBooks;

use super::engine::{Engine, ONE, PATIENCE};
use super::load::in_flight;
use super::servers::Redis;
use super::{MANY, Scale};
use crate::report::{Report, heading};

const RESERVES: u64 = 1_000;

/// One reserve after the other, then all commits while the server stands still, and then requests
/// under load.
pub(crate) fn round_trips(runtime: &Runtime, redis: &Redis, scale: &Scale, report: &mut Report) {
    heading("Redis: how often it is asked");
    runtime.block_on(async {
        let engine = engine(redis, scale.profiles).await;
        // Whatever happens only once.
        engine.reserve(0, ONE).await.commit();
        engine.flush().await;

        let before = redis.counters();
        let mut reservations = Vec::new();
        for turn in 0..RESERVES {
            reservations.push(engine.reserve(turn, ONE).await);
        }
        let reserved = redis.counters().since(before);
        println!("  {RESERVES} reserves, one after the other: {} commands", reserved.commands);

        let before = redis.counters();
        let paused = redis.pause();
        let start = Instant::now();
        reservations.into_iter().for_each(tower_quota::Reservation::commit);
        let handed_over = start.elapsed();
        drop(paused);
        engine.flush().await;
        let settled = redis.counters().since(before);
        println!(
            "  {RESERVES} commits, handed over in {handed_over:.1?} while the server stood still: \
             {} commands",
            settled.commands
        );

        let before = redis.counters();
        let load = (MANY, 2 * scale.turn);
        let requests = in_flight(load, &Default::default(), engine.spending(ONE)).await;
        engine.flush().await;
        let counted = redis.counters().since(before);
        let commands = counted.commands as f64 / requests as f64;
        println!(
            "  {requests} requests, {MANY} in flight: {} commands, {} reads from its socket",
            counted.commands, counted.reads
        );

        let each = reserved.commands as f64 / RESERVES as f64;
        report.at_most(1.0, "Redis: commands a reserve, nothing settled", each);
        report.at_most(1.3, "Redis: commands a request under load", commands);
    });
}

/// An engine over this server, empty.
pub(crate) async fn engine(redis: &Redis, profiles: u64) -> Engine {
    redis.command(&["FLUSHALL"]);
    Engine::of(books(redis).await, profiles)
}

/// Books on this server.
pub(crate) async fn books(redis: &Redis) -> RedisBooks {
    let builder = RedisBooks::builder(redis.url()).timeout(PATIENCE);
    builder.connect().await.expect("a server")
}

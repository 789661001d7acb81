//! What it takes to say no, where the store is far away.

use tokio::runtime::Runtime;
use tower_quota::store::{ExhaustedCache, Remote, Store};
use tower_quota::{Decision, MemoryStore, SystemClock, Window};

use super::Scale;
use super::engine::{Engine, SCARCE, options};
use super::round_trips::books;
use super::servers::Redis;
use crate::race::{Contestant, Length, race};
use crate::report::{Report, heading};

/// Profiles that ask for more and more although their quota is used up.
const EXHAUSTED: u64 = 100;

const IN_MEMORY: &str = "in memory";
const CACHED: &str = "in Redis, behind the cache";

/// The cache asks again once a second for each profile.
pub(crate) fn denied(runtime: &Runtime, redis: &Redis, scale: &Scale, report: &mut Report) {
    heading(&format!("A denied reserve, exhausted profiles: {EXHAUSTED}"));
    redis.command(&["FLUSHALL"]);
    let books = runtime.block_on(books(redis));
    let remote = runtime.block_on(async { Remote::new(books, options()) });
    let contestants = vec![
        contestant(runtime, IN_MEMORY, MemoryStore::new()),
        contestant(runtime, CACHED, ExhaustedCache::new(remote)),
    ];
    let length = Length { rounds: 150 * scale.rounds as u64, operations: 4_000 };
    let before = redis.counters();
    let times = race(contestants, length);
    times.print();
    let commands = redis.counters().since(before).commands;
    let requests = length.rounds * length.operations;
    let each = commands as f64 / requests as f64;
    println!("  {commands} commands for {requests} requests: {each:.6} each");
    let ratio = times.median(|time| time(CACHED) / time(IN_MEMORY));
    report.at_most(0.01, "commands a request that is denied", each);
    report.at_most(3.0, "a denial behind the cache / in memory", ratio);
}

/// One that is denied, all profiles having used up what they had.
fn contestant(runtime: &Runtime, name: &'static str, store: impl Store) -> Contestant {
    let engine = Engine::over(store, EXHAUSTED, Window::Day, SystemClock);
    runtime.block_on(async {
        for turn in 0..EXHAUSTED {
            engine.reserve(turn, SCARCE).await.commit();
        }
        engine.flush().await;
        deny(&engine, 0..EXHAUSTED).await;
    });
    let runtime = runtime.handle().clone();
    Contestant::new(name, move |turns| runtime.block_on(deny(&engine, turns)))
}

async fn deny(engine: &Engine, turns: std::ops::Range<u64>) {
    for turn in turns {
        let decision = engine.quotas.reserve(engine.profile(turn), SCARCE, 1).await;
        assert!(matches!(decision, Ok(Decision::Denied(_))), "{decision:?}");
    }
}

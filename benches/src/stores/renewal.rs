//! What it takes to keep holds alive.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::sleep;
use tower_quota::store::{Lease, PostgresBooks, RedisBooks, RemoteBooks, SqliteBooks};

use super::engine::{self, Engine, PATIENCE};
use super::load::each;
use super::servers::{Directory, Postgres, Redis};
use super::{SOME, Scale, cpu};
use crate::report::heading;

/// A tenth of what leases are, so that there is something to see: renewed every two seconds.
const LEASE: Duration = Duration::from_secs(6);

/// Three renewals of each.
const WATCHED: Duration = Duration::from_secs(6);

/// Nothing else happens meanwhile.
pub(crate) fn renewal(runtime: &Runtime, redis: &Redis, postgres: &Postgres, scale: &Scale) {
    heading(&format!(
        "Renewal of {} holds in flight, with leases of {LEASE:?} (of 60 s: a tenth)",
        scale.records
    ));
    println!("  {:<14}{:>14}{:>22}{:>24}", "", "commands/s", "own CPU, ms/s", "server's CPU, ms/s");
    let lease = Lease { length: LEASE, ..Lease::default() };
    redis.command(&["FLUSHALL"]);
    runtime.block_on(async {
        let builder = RedisBooks::builder(redis.url()).timeout(PATIENCE).lease(lease);
        let books = builder.connect().await.expect("a server");
        let commands = || redis.counters().commands;
        watch("Redis", books, scale, commands, || cpu::of(redis.pid())).await;

        engine::postgres(postgres, 1).await;
        let builder = PostgresBooks::builder(postgres.url()).timeout(PATIENCE).lease(lease);
        let books = builder.connect().await.expect("a server");
        let commands = || transactions(postgres);
        watch("PostgreSQL", books, scale, commands, || cpu::of(postgres.pid())).await;

        let directory = Directory::new();
        engine::sqlite(&directory).await;
        let file = directory.path().join("quota.db");
        let books = SqliteBooks::builder(file).lease(lease).connect().await.expect("a file");
        watch("SQLite", books, scale, || 0, || 0.0).await;
    });
}

/// `commands` and `cpu` tell what a server has done so far.
async fn watch(
    name: &str,
    books: impl RemoteBooks,
    scale: &Scale,
    commands: impl Fn() -> u64,
    cpu: impl Fn() -> f64,
) {
    let engine = Engine::of(books, scale.records);
    let holds = each(SOME, 0..scale.records, engine.holding()).await;
    let (commands_before, server_before) = (commands(), cpu());
    let own_before = cpu::own();
    sleep(WATCHED).await;
    let own = cpu::own() - own_before;
    let (server, commands) = (cpu() - server_before, commands() - commands_before);
    let seconds = WATCHED.as_secs_f64();
    println!(
        "  {name:<14}{:>14.1}{:>22.1}{:>24.1}",
        commands as f64 / seconds,
        own * 1e3 / seconds,
        server * 1e3 / seconds
    );
    drop(holds);
    engine.quotas.shutdown().await.expect("the books are there");
}

/// The number of the next transaction that writes.
fn transactions(postgres: &Postgres) -> u64 {
    let next = postgres.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())");
    next.parse().expect("a number")
}

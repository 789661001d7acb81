//! How fast quotas are spent in SQLite.

use std::future::ready;

use sqlx::query;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::runtime::Runtime;

use super::engine::{self, Engine, ONE, THREE};
use super::load::{Contestant, contestant, reserving};
use super::servers::Directory;
use super::{MANY, ORIGINAL, SOME, Scale};
use crate::exchange::shuffled;
use crate::race::Times;
use crate::report::{Report, heading};

const PLAIN: &str = "a guarded upsert, one after the other";
const SPREAD: &str = "tower-quota reserve + commit";
const HOT: &str = "tower-quota, all of one profile";
const THREE_LIMITS: &str = "tower-quota, three limits";
const ALONE: &str = "tower-quota, one after the other";
const MANY_SPREAD: &str = "tower-quota, 64 in flight";

const TABLE: &str = "CREATE TABLE plain (key INTEGER PRIMARY KEY, used INTEGER NOT NULL) STRICT";

/// Counts one, if there is room.
const UPSERT: &str = "INSERT INTO plain VALUES (?1, 1)
    ON CONFLICT (key) DO UPDATE SET used = used + 1 WHERE used < 1000000000";

/// The bare loop has one connection, and each of its statements is written and synced before the
/// next one. A turn of ours ends when all settlements are written.
pub(crate) fn rates(runtime: &Runtime, scale: &Scale, report: &mut Report) {
    heading(&format!("SQLite: {SOME} in flight, profiles: {}", scale.profiles));
    let directory = Directory::new();
    let engine =
        runtime.block_on(async { Engine::of(engine::sqlite(&directory).await, scale.profiles) });
    let ours = |name, callers, engine: &Engine, feature| {
        reserving(name, runtime.handle(), (callers, scale.turn), engine, feature)
    };
    let mut contestants = vec![
        plain(runtime, &directory, scale),
        ours(SPREAD, SOME, &engine, ONE),
        ours(HOT, SOME, &engine.for_first(1), ONE),
        ours(THREE_LIMITS, SOME, &engine, THREE),
        ours(MANY_SPREAD, MANY, &engine, ONE),
        ours(ALONE, 1, &engine, ONE),
    ];
    let times = Times::of_turns(&mut contestants, scale.rounds);
    times.print_rates();
    let share = times.median(|time| time(PLAIN) / time(SPREAD));
    report.at_least(0.4, "SQLite: 16 in flight / a bare loop", share);
    let rate = times.median(|time| 1e9 / time(SPREAD));
    report.at_least(20.0, "SQLite: reserves / the original's", rate / ORIGINAL);
    runtime.block_on(engine.flush());
}

fn plain(runtime: &Runtime, directory: &Directory, scale: &Scale) -> Contestant<'static> {
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("plain.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = runtime.block_on(async {
        let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        let pool: SqlitePool = pool.connect_with(options).await.expect("a file");
        query(TABLE).execute(&pool).await.expect("a table");
        pool
    });
    let profiles = scale.profiles;
    let operation = move |turn| {
        let (pool, key) = (pool.clone(), shuffled(turn, profiles) as i64);
        async move {
            let counted = query(UPSERT).bind(key).execute(&pool).await;
            assert_eq!(counted.expect("a row").rows_affected(), 1);
        }
    };
    contestant(PLAIN, runtime.handle(), (1, scale.turn), operation, || ready(()))
}

//! Whether stores stop growing.

use std::time::Duration;

use chrono::DateTime;
use tokio::runtime::Runtime;
use tokio::time::{interval, sleep};
use tower_quota::store::{Lease, PostgresBooks, RedisBooks, Remote, RemoteBooks, SqliteBooks};
use tower_quota::{Clock, ManualClock, SystemClock, Window};

use super::engine::{self, Engine, ONE, PATIENCE, options};
use super::load::each;
use super::servers::{Directory, Postgres, Redis};
use super::space::{postgres_size, sqlite_pool, sqlite_size};
use super::{SOME, Scale};
use crate::report::{Report, heading};

const DAYS: u64 = 10;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sweeps a day.
const SWEEPS: u64 = 20;

/// What stands for a day in Redis, which keeps its own time.
const SHORT_DAY: Duration = Duration::from_secs(2);

/// Each day, as many profiles as the day before spend one unit, and none of them ever comes back.
pub(crate) fn ten_days(
    runtime: &Runtime,
    redis: &Redis,
    postgres: &Postgres,
    scale: &Scale,
    report: &mut Report,
) {
    heading(&format!("Bytes after each of ten days, with {} new profiles a day", scale.newcomers));
    runtime.block_on(async {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        engine::postgres(postgres, 1).await;
        let builder = PostgresBooks::builder(postgres.url()).timeout(PATIENCE);
        let books = builder.clock(clock.clone()).connect().await.expect("a server");
        let sizes = days(books, clock, scale, async || postgres_size(postgres)).await;
        print("PostgreSQL, vacuumed once a day", &sizes);
        flat("PostgreSQL", &sizes, report);

        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let directory = Directory::new();
        engine::sqlite(&directory).await;
        let builder = SqliteBooks::builder(directory.path().join("quota.db"));
        let books = builder.clock(clock.clone()).connect().await.expect("a file");
        let pool = sqlite_pool(&directory).await;
        let sizes = days(books, clock, scale, async || sqlite_size(&pool).await).await;
        print("SQLite", &sizes);
        flat("SQLite", &sizes, report);

        let sizes = short_days(redis, scale).await;
        print("Redis, windows of 2 s that are kept for 1 s, and then expire", &sizes);
        flat("Redis", &sizes, report);
    });
}

async fn days(
    books: impl RemoteBooks,
    clock: ManualClock,
    scale: &Scale,
    size: impl AsyncFn() -> u64,
) -> Vec<u64> {
    let remote = Remote::new(books, options());
    let profiles = DAYS * scale.newcomers;
    let engine = Engine::over(remote.clone(), profiles, Window::Day, clock.clone());
    let batch = scale.newcomers / SWEEPS;
    let mut sizes = Vec::new();
    for day in 0..DAYS {
        for part in 0..SWEEPS {
            let first = day * scale.newcomers + part * batch;
            each(SOME, first..first + batch, engine.spending(ONE)).await;
            engine.flush().await;
            clock.advance(DAY / SWEEPS as u32);
            while remote.sweep(1_000).await.expect("the books are there") > 0 {}
        }
        sizes.push(size().await);
    }
    sizes
}

async fn short_days(redis: &Redis, scale: &Scale) -> Vec<u64> {
    redis.command(&["FLUSHALL"]);
    let second = Duration::from_secs(1);
    let lease = Lease { length: second, keep: second };
    let builder = RedisBooks::builder(redis.url()).timeout(PATIENCE).lease(lease);
    let books = builder.connect().await.expect("a server");
    let profiles = DAYS * scale.newcomers;
    let window = Window::Fixed(SHORT_DAY);
    let engine = Engine::over(Remote::new(books, options()), profiles, window, SystemClock);
    let empty = redis.used_memory();
    let mut sizes = Vec::new();
    sleep(until_dawn()).await;
    let mut dawn = interval(SHORT_DAY);
    for day in 0..DAYS {
        dawn.tick().await;
        let today = day * scale.newcomers..(day + 1) * scale.newcomers;
        each(SOME, today, engine.spending(ONE)).await;
        engine.flush().await;
        sizes.push(redis.used_memory().saturating_sub(empty));
    }
    sizes
}

/// How long it is until a window has just begun. Its records live on into the next one, and no
/// further than its middle: at each dawn there are those of the day before, and no others.
fn until_dawn() -> Duration {
    let now = SystemClock.now();
    let today = Window::Fixed(SHORT_DAY).around(now);
    let next = today.start.saturating_add(SHORT_DAY * 5 / 4);
    Duration::from_millis((next.as_millis() - now.as_millis()).unsigned_abs())
}

fn print(name: &str, sizes: &[u64]) {
    let sizes: Vec<_> = sizes.iter().map(u64::to_string).collect();
    println!("  {name}\n    {}", sizes.join("  "));
}

/// From the second day on, there is also what the day before has left.
fn flat(name: &str, sizes: &[u64], report: &mut Report) {
    let most = sizes.iter().skip(1).copied().max().unwrap_or_default();
    let ratio = most as f64 / sizes[1] as f64;
    report.at_most(1.1, format!("{name}: most bytes in ten days / on the second"), ratio);
}

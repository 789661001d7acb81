//! What counters and holds take.

use sqlx::query_scalar;
use sqlx::sqlite::SqlitePool;
use tokio::runtime::Runtime;

use super::engine::{self, Engine, ONE};
use super::load::each;
use super::servers::{Directory, Postgres, Redis};
use super::{SOME, Scale, round_trips};
use crate::report::heading;

/// Each record is of a profile whose id is a number, in a window of a day.
pub(crate) fn space(runtime: &Runtime, redis: &Redis, postgres: &Postgres, scale: &Scale) {
    heading(&format!("Bytes, of {} records each", scale.records));
    println!(
        "  {:<14}{:>14}{:>26}{:>26}",
        "", "a counter", "a hold, each of another", "a hold of the same"
    );
    runtime.block_on(async {
        let engine = round_trips::engine(redis, scale.records).await;
        measure("Redis", &engine, scale, async || redis.used_memory()).await;

        let books = engine::postgres(postgres, SOME as u32).await;
        let engine = Engine::of(books, scale.records);
        measure("PostgreSQL", &engine, scale, async || postgres_size(postgres)).await;

        let directory = Directory::new();
        let engine = Engine::of(engine::sqlite(&directory).await, scale.records);
        let pool = sqlite_pool(&directory).await;
        measure("SQLite", &engine, scale, async || sqlite_size(&pool).await).await;
    });
}

/// `size` says what everything takes.
async fn measure(name: &str, engine: &Engine, scale: &Scale, size: impl AsyncFn() -> u64) {
    let records = scale.records;
    // Connections and what comes with them.
    engine.reserve(0, ONE).await.commit();
    engine.flush().await;
    let empty = size().await;
    each(SOME, 0..records, engine.spending(ONE)).await;
    engine.flush().await;
    let counters = size().await;
    let apart = each(SOME, 0..records, engine.holding()).await;
    let holds_apart = size().await;
    let together = each(SOME, 0..records, engine.for_first(1).holding()).await;
    let holds_together = size().await;
    let a_record = |before: u64, after: u64| (after as f64 - before as f64) / records as f64;
    println!(
        "  {name:<14}{:>14.0}{:>26.0}{:>26.0}",
        a_record(empty, counters),
        a_record(counters, holds_apart),
        a_record(holds_apart, holds_together)
    );
    drop((apart, together));
    engine.quotas.shutdown().await.expect("the books are there");
}

/// Of tables and indexes, without the room that settled holds have left.
pub(crate) fn postgres_size(postgres: &Postgres) -> u64 {
    for table in ["quota_hold", "quota_counter"] {
        postgres.sql(&format!("VACUUM {table}"));
    }
    postgres.table_size("quota_counter") + postgres.table_size("quota_hold")
}

pub(crate) async fn sqlite_pool(directory: &Directory) -> SqlitePool {
    let url = format!("sqlite://{}", directory.path().join("quota.db").display());
    SqlitePool::connect(&url).await.expect("a file")
}

/// Of all pages that are in use.
pub(crate) async fn sqlite_size(pool: &SqlitePool) -> u64 {
    let pages = "SELECT (page_count - freelist_count) * page_size
        FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let bytes: i64 = query_scalar(pages).fetch_one(pool).await.expect("a number");
    bytes.unsigned_abs()
}

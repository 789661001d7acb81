//! What the stores outside of this process cost: Redis, PostgreSQL and SQLite, on servers of this
//! program's own.

mod cluster;
mod cpu;
mod denied;
mod engine;
mod load;
mod postgres;
mod redis;
mod renewal;
mod round_trips;
mod servers;
mod space;
mod sqlite;
mod ten_days;

use std::time::Duration;

use tokio::runtime::Runtime;

use self::servers::{Postgres, Redis};
use crate::report::Report;

/// How much is measured.
pub(crate) struct Scale {
    /// How often each contestant's turn comes in a race.
    pub(crate) rounds: usize,
    /// How long a turn is.
    pub(crate) turn: Duration,
    /// Profiles that take turns where keys are spread.
    pub(crate) profiles: u64,
    /// Records of which the space is measured, and holds that are renewed.
    pub(crate) records: u64,
    /// Profiles that come anew on each of ten days.
    pub(crate) newcomers: u64,
}

/// A store of which nothing but the rates is measured.
#[derive(Clone, Copy)]
pub(crate) enum Only {
    Redis,
    Postgres,
    Sqlite,
}

/// Requests in flight, where Redis is asked.
pub(crate) const MANY: u64 = 64;

/// Requests in flight, where PostgreSQL or SQLite is.
pub(crate) const SOME: u64 = 16;

/// The original, on one contended row: reserves a second.
pub(crate) const ORIGINAL: f64 = 160.0;

/// Measures all stores, or how fast quotas are spent in one of them.
pub(crate) fn stores(only: Option<Only>, scale: &Scale, report: &mut Report) {
    let runtime = Runtime::new().expect("a runtime");
    match only {
        Some(Only::Redis) => redis::rates(&runtime, &Redis::start(), scale, report),
        Some(Only::Postgres) => postgres::rates(&runtime, &Postgres::start(), scale, report),
        Some(Only::Sqlite) => sqlite::rates(&runtime, scale, report),
        None => all(&runtime, scale, report),
    }
}

fn all(runtime: &Runtime, scale: &Scale, report: &mut Report) {
    let redis = Redis::start();
    let postgres = Postgres::start();
    round_trips::round_trips(runtime, &redis, scale, report);
    redis::rates(runtime, &redis, scale, report);
    cluster::cluster(runtime, scale);
    postgres::rates(runtime, &postgres, scale, report);
    sqlite::rates(runtime, scale, report);
    denied::denied(runtime, &redis, scale, report);
    renewal::renewal(runtime, &redis, &postgres, scale);
    space::space(runtime, &redis, &postgres, scale);
    ten_days::ten_days(runtime, &redis, &postgres, scale, report);
}

//! How fast quotas are spent in PostgreSQL.

use tokio::runtime::Runtime;

use super::engine::{self, Engine, ONE, THREE};
use super::load::{program, reserving};
use super::servers::Postgres;
use super::{MANY, ORIGINAL, SOME, Scale, cpu};
use crate::race::Times;
use crate::report::{Report, heading};

const PLAIN_SPREAD: &str = "pgbench, a guarded upsert";
const PLAIN_HOT: &str = "pgbench, all of one row";
const SPREAD: &str = "tower-quota reserve + commit";
const HOT: &str = "tower-quota, all of one profile";
const THREE_LIMITS: &str = "tower-quota, three limits";
const THREE_HOT: &str = "tower-quota, three limits of one profile";
const MANY_SPREAD: &str = "tower-quota, 64 in flight";
const MANY_HOT: &str = "tower-quota, 64 in flight, one profile";

/// What everyone's statement counts in.
const TABLE: &str = "DROP TABLE IF EXISTS plain;
    CREATE TABLE plain (key bigint PRIMARY KEY, used bigint NOT NULL) WITH (fillfactor = 50)";

/// Counts one, if there is room.
const UPSERT: &str = "INSERT INTO plain VALUES (:key, 1)
    ON CONFLICT (key) DO UPDATE SET used = plain.used + 1 WHERE plain.used < 1000000000
    RETURNING used;";

/// Everyone has as many connections as there are requests in flight, but for our 64, which share
/// as many. A turn of ours ends when all settlements are written.
pub(crate) fn rates(runtime: &Runtime, postgres: &Postgres, scale: &Scale, report: &mut Report) {
    heading(&format!("PostgreSQL: {SOME} in flight, profiles: {}", scale.profiles));
    postgres.sql(TABLE);
    let engine = runtime.block_on(async {
        Engine::of(engine::postgres(postgres, SOME as u32).await, scale.profiles)
    });
    let one_profile = engine.for_first(1);
    let length = 2 * scale.turn;
    let pgbench = |name, key: String| {
        let script = format!("\\set key {key}\n{}", UPSERT.replace('\n', " "));
        let seconds = length.as_secs().max(1);
        program(name, move || postgres.benchmark(SOME, seconds, &script))
    };
    let ours = |name, callers, engine: &Engine, feature| {
        reserving(name, runtime.handle(), (callers, length), engine, feature)
    };
    let mut contestants = vec![
        pgbench(PLAIN_SPREAD, format!("random(1, {})", scale.profiles)),
        ours(SPREAD, SOME, &engine, ONE),
        ours(MANY_SPREAD, MANY, &engine, ONE),
        ours(THREE_LIMITS, SOME, &engine, THREE),
        pgbench(PLAIN_HOT, "1".into()),
        ours(HOT, SOME, &one_profile, ONE),
        ours(MANY_HOT, MANY, &one_profile, ONE),
        ours(THREE_HOT, SOME, &one_profile, THREE),
    ];
    let times = Times::of_turns(&mut contestants, scale.rounds);
    times.print_rates();
    cpu::print_costs(&mut contestants, postgres.pid());
    let share = |name, other| times.median(|time| time(other) / time(name));
    report.at_least(0.5, "PostgreSQL: spread keys / pgbench's", share(SPREAD, PLAIN_SPREAD));
    report.at_least(0.5, "PostgreSQL: a hot row / pgbench's", share(HOT, PLAIN_HOT));
    let rate = times.median(|time| 1e9 / time(SPREAD));
    report.at_least(20.0, "PostgreSQL: reserves / the original's", rate / ORIGINAL);
}

//! What tower-quota costs, beside what its peers cost.
//!
//! One command measures what is in memory, on one thread unless said otherwise:
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml
//! ```
//!
//! and one the stores outside of the process:
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml -- stores
//! ```
//!
//! That one starts servers of its own, in directories for temporary files, and removes them: it needs
//! the programs of Redis 7 and PostgreSQL (Debian's packages `redis` and `postgresql`). With `redis`,
//! `postgres` or `sqlite` after it, it measures nothing but how fast quotas are spent there.
//!
//! With `-- --quick` both measure less, to see whether it works.

mod counting;
mod exchange;
mod measure;
mod peers;
mod race;
mod report;
mod stores;

use std::time::Duration;

use measure::Scale;
use race::Length;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Turns are shorter than what a scheduler gives a thread at a time, so that most of them are not
/// interrupted, and long enough that what the others left in the caches does not matter.
const FULL: Scale = Scale {
    profiles: 1_000_000,
    race: Length { rounds: 501, operations: 4_000 },
    slow_race: Length { rounds: 31, operations: 10_000 },
    thread_rounds: 31,
};

const QUICK: Scale = Scale {
    profiles: 100_000,
    race: Length { rounds: 75, ..FULL.race },
    slow_race: Length { rounds: 5, ..FULL.slow_race },
    thread_rounds: 5,
};

const FULL_STORES: stores::Scale = stores::Scale {
    rounds: 11,
    turn: Duration::from_secs(1),
    profiles: 10_000,
    records: 10_000,
    newcomers: 2_000,
};

const QUICK_STORES: stores::Scale = stores::Scale {
    rounds: 3,
    turn: Duration::from_millis(300),
    profiles: 2_000,
    records: 2_000,
    newcomers: 400,
};

fn main() {
    let told = |word: &str| std::env::args().skip(1).any(|argument| argument == word);
    let mut report = report::Report::default();
    if told("stores") {
        let scale = if told("--quick") { QUICK_STORES } else { FULL_STORES };
        let named = [
            ("redis", stores::Only::Redis),
            ("postgres", stores::Only::Postgres),
            ("sqlite", stores::Only::Sqlite),
        ];
        let only = named.into_iter().find(|(name, _)| told(name)).map(|(_, only)| only);
        stores::stores(only, &scale, &mut report);
    } else {
        let scale = if told("--quick") { QUICK } else { FULL };
        in_memory(&scale, &mut report);
    }
    report.print();
}

fn in_memory(scale: &Scale, report: &mut report::Report) {
    measure::added_cost(scale, report);
    measure::unmetered(scale, report);
    measure::denial(scale);
    measure::library(scale, report);
    measure::limits(scale, report);
    measure::zones(scale, report);
    measure::threads(scale, report);
    measure::memory(scale, report);
    measure::allocations(report);
}

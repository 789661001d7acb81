//! What tower-quota costs, beside what its peers cost.
//!
//! One command measures everything, on one thread unless said otherwise:
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml
//! ```
//!
//! With `-- --quick` it measures less, to see whether it works.

mod counting;
mod exchange;
mod measure;
mod peers;
mod race;
mod report;

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

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let scale = if quick { QUICK } else { FULL };
    let mut report = report::Report::default();

    measure::added_cost(&scale, &mut report);
    measure::unmetered(&scale, &mut report);
    measure::denial(&scale);
    measure::library(&scale, &mut report);
    measure::threads(&scale, &mut report);
    measure::memory(&scale, &mut report);
    measure::allocations(&mut report);

    report.print();
}

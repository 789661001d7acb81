//! What processes have used of the processors.

use std::fs;
use std::time::Instant;

use super::load::Contestant;

/// The ticks a second that Linux counts in, wherever it runs.
const TICKS: f64 = 100.0;

/// In user mode and in the kernel, of a process itself.
const ITSELF: usize = 2;

/// The same, and of the children that it has waited for.
const WITH_ENDED_CHILDREN: usize = 4;

/// Seconds that this process has used.
pub(crate) fn own() -> f64 {
    ticks("self", ITSELF) / TICKS
}

/// Seconds that a process and its children have used, those that have ended included.
pub(crate) fn of(pid: u32) -> f64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().map(|child| ticks(child, ITSELF));
    (ticks(&pid.to_string(), WITH_ENDED_CHILDREN) + children.sum::<f64>()) / TICKS
}

/// Lets each contestant have one more turn, and prints what an operation took of the server's time
/// and of ours. What a program of its own took of its own is not known.
pub(crate) fn print_costs(contestants: &mut [Contestant<'_>], server: u32) {
    println!("  {:<44}{:>10}{:>10}", "CPU time of an operation, us", "server's", "own");
    for (name, turn) in contestants {
        let (server_before, own_before, start) = (of(server), own(), Instant::now());
        let nanoseconds = turn();
        let operations = start.elapsed().as_nanos() as f64 / nanoseconds;
        let each = |seconds: f64| seconds * 1e6 / operations;
        let (server, own) = (each(of(server) - server_before), each(own() - own_before));
        println!("  {name:<44}{server:>10.1}{own:>10.1}");
    }
}

fn ticks(process: &str, fields: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program, in parentheses, may have spaces in it.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let figures = after_name.split_whitespace().skip(11).take(fields);
    figures.filter_map(|figure| figure.parse::<f64>().ok()).sum()
}

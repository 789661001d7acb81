//! The libraries beneath the layers, without HTTP.

use super::Scale;
use crate::exchange::shuffled;
use crate::peers::limitador::Limitador;
use crate::peers::{PLENTY, governor, ours};
use crate::race::{Contestant, race};
use crate::report::{Report, heading};

/// As many contexts as limitador can build in a moment.
const PROFILES: u64 = 1_000;

const GOVERNOR: &str = "governor check_key";
const OURS: &str = "tower-quota reserve + commit";
const LIMITADOR: &str = "limitador reserve + commit";

/// Ours does two verbs where governor does one; limitador's are the same two. Everyone's keys
/// are built beforehand. limitador races apart, because it leaves nothing of the others' in the
/// caches.
pub(crate) fn library(scale: &Scale, report: &mut Report) {
    heading(&format!("Library calls, profiles: {PROFILES}"));
    let times = race(vec![check_key(), reserve()], scale.race);
    times.print();
    let slower = times.median(|time| time(OURS) / time(GOVERNOR));
    let times = race(vec![reserve(), limitador()], scale.slow_race);
    times.print();
    let faster = times.median(|time| time(LIMITADOR) / time(OURS));
    report.at_least(30.0, "limitador's reserve + commit / ours", faster);
    report.at_most(4.0, "our reserve + commit / governor's check_key", slower);
}

fn check_key() -> Contestant {
    let limiter = governor::limiter();
    let keys: Vec<String> = (0..PROFILES).map(|number| number.to_string()).collect();
    contestant(GOVERNOR, move |profile| {
        limiter.check_key(&keys[profile]).expect("nobody here uses up a quota");
    })
}

fn reserve() -> Contestant {
    let quotas = ours::quotas(PLENTY, tower_quota::SystemClock);
    let profiles: Vec<_> = (0..PROFILES).map(ours::profile).collect();
    contestant(OURS, move |profile| {
        ours::reserve_and_commit(&quotas, &profiles[profile]);
    })
}

fn limitador() -> Contestant {
    let limitador = Limitador::new(PROFILES);
    contestant(LIMITADOR, move |profile| limitador.reserve_and_commit(profile))
}

/// Does `operation` once for each profile, and then in turn.
fn contestant(name: &'static str, operation: impl Fn(usize) + 'static) -> Contestant {
    let turn = move |turn| operation(shuffled(turn, PROFILES) as usize);
    (0..PROFILES).for_each(&turn);
    Contestant::new(name, move |turns| turns.for_each(&turn))
}

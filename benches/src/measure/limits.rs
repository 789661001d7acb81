//! What several limits, and rolling ones, cost over a single fixed one.

use std::time::Duration;

use tower_quota::store::Answer;
use tower_quota::{Decision, Limit, Plan, Profile, Quotas, Scope, SystemClock, Window};

use super::Scale;
use crate::counting::counted;
use crate::exchange::shuffled;
use crate::race::{Contestant, race};
use crate::report::{Report, heading};

const PROFILES: u64 = 10_000;
const AMOUNT: u64 = 1_000_000_000_000;
const TENANTS: u64 = 100;
const MINUTE: Duration = Duration::from_secs(60);

const ONE: &str = "one limit";
const THREE: &str = "three limits over two scopes";
const ROLLING: &str = "one rolling limit";

/// Library calls, for there the limits are most of it.
pub(crate) fn limits(scale: &Scale, report: &mut Report) {
    heading(&format!("Reserve + commit by limits, profiles: {PROFILES}"));
    let fixed = Limit::new(AMOUNT, Window::Fixed(MINUTE));
    let three = [
        fixed.clone(),
        Limit::new(AMOUNT, Window::Day),
        Limit::new(AMOUNT, Window::Day).named("company").scope(Scope::Tenant),
    ];
    let rolling = [Limit::new(AMOUNT, Window::Rolling(MINUTE))];
    let contestants = vec![
        contestant(ONE, [fixed]),
        contestant(THREE, three),
        contestant(ROLLING, rolling.clone()),
    ];
    let times = race(contestants, scale.race);
    times.print();
    let ratio = |name| times.median(|time| time(name) / time(ONE));
    report.at_most(1.6, "three limits over two scopes / one limit", ratio(THREE));
    report.at_most(1.5, "a rolling limit / a fixed one", ratio(ROLLING));
    let quotas = quotas(rolling);
    let memory = counted(|| (0..PROFILES).for_each(|number| spend(&quotas, &profile(number))));
    let bytes = memory.live_bytes as f64 / PROFILES as f64;
    report.at_most(1_024.0, "bytes a rolling counter", bytes);
}

fn quotas(limits: impl IntoIterator<Item = Limit>) -> Quotas {
    let plan = Plan::new("free").feature("remix", limits);
    let quotas = Quotas::builder().plan(plan).clock(SystemClock).build();
    quotas.expect("a complete configuration")
}

fn profile(number: u64) -> Profile {
    Profile::new(number.to_string(), "free").tenant((number % TENANTS).to_string())
}

fn spend(quotas: &Quotas, profile: &Profile) {
    match quotas.reserve(profile, "remix", 1) {
        Answer::Ready(Ok(Decision::Granted(reservation))) => reservation.commit(),
        other => panic!("there is plenty: {other:?}"),
    }
}

fn contestant(name: &'static str, limits: impl IntoIterator<Item = Limit>) -> Contestant {
    let quotas = quotas(limits);
    let profiles: Vec<_> = (0..PROFILES).map(profile).collect();
    Contestant::new(name, move |turns| {
        for turn in turns {
            spend(&quotas, &profiles[shuffled(turn, PROFILES) as usize]);
        }
    })
}

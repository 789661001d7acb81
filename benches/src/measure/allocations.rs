//! How often a granted request allocates, beyond what the bare service does.

use http::StatusCode;
use tower_quota::Headers;

use crate::counting::counted;
use crate::exchange::{Call, Handler};
use crate::peers::{PLENTY, ours, tower_governor};
use crate::race::{Contestant, Visits};
use crate::report::{Report, heading};

const PROFILES: u64 = 100;
const REQUESTS: u64 = 1_000;

/// Under axum, and where neither request nor answer brings anything that we could add to.
pub(crate) fn allocations(report: &mut Report) {
    let handler = Handler { headers: true };
    let under_axum = added(handler, Call::metered(), "under axum");
    report.at_most(3.0, "allocations a request, under axum", under_axum);

    let handler = Handler { headers: false };
    let call = Call::metered().without_extensions();
    let on_nothing = added(handler, call, "without extensions or headers");
    report.at_most(7.0, "allocations a request, without extensions or headers", on_nothing);
}

fn added(handler: Handler, call: Call, circumstances: &str) -> f64 {
    heading(&format!("Allocations a request, {circumstances}"));
    let visits = Visits { call, profiles: PROFILES, expected: StatusCode::OK };
    let theirs = tower_governor::with_headers(handler, PLENTY);
    let ours = ours::service(handler, PLENTY, Headers::Draft11);
    let bare = a_request(Contestant::serving("bare service", handler, &visits));
    let theirs = a_request(Contestant::serving("tower_governor", theirs, &visits)) - bare;
    let ours = a_request(Contestant::serving("tower-quota", ours, &visits)) - bare;
    println!("  bare {bare:.2}, tower-quota {ours:.2} more, tower_governor {theirs:.2} more");
    ours
}

fn a_request(mut contestant: Contestant) -> f64 {
    let counted = counted(|| contestant.operate(0..REQUESTS));
    counted.allocations as f64 / REQUESTS as f64
}

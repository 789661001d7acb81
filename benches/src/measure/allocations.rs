//! How often a granted request allocates, beyond what the bare service does.

use http::StatusCode;
use tower_quota::Headers;

use crate::counting::counted;
use crate::exchange::{Call, Handler};
use crate::peers::{PLENTY, ours, tower_governor};
use crate::race::Contestant;
use crate::report::{Report, heading};

const PROFILES: u64 = 100;
const REQUESTS: u64 = 1_000;

/// Under axum, and where neither request nor answer brings anything that we could add to.
pub(crate) fn allocations(report: &mut Report) {
    let handler = Handler { headers: true };
    let under_axum = added(handler, &Call::metered(), "under axum");
    report.at_most(3.0, "allocations a request, under axum", under_axum);

    let handler = Handler { headers: false };
    let call = Call::metered().without_extensions();
    let on_nothing = added(handler, &call, "without extensions or headers");
    report.at_most(7.0, "allocations a request, without extensions or headers", on_nothing);
}

fn added(handler: Handler, call: &Call, circumstances: &str) -> f64 {
    macro_rules! of {
        ($service:expr) => {
            a_request(Contestant::serving("", $service, call.clone(), PROFILES, StatusCode::OK))
        };
    }
    heading(&format!("Allocations a request, {circumstances}"));
    let bare = of!(handler);
    let ours = of!(ours::service(handler, PLENTY, Headers::Draft11)) - bare;
    let theirs = of!(tower_governor::with_headers(handler, PLENTY)) - bare;
    println!("  bare {bare:.2}, tower-quota {ours:.2} more, tower_governor {theirs:.2} more");
    ours
}

fn a_request(mut contestant: Contestant) -> f64 {
    let counted = counted(|| contestant.operate(0..REQUESTS));
    counted.allocations as f64 / REQUESTS as f64
}

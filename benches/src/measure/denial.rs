//! What it takes to say no.

use http::StatusCode;
use tower_quota::Headers;

use super::Scale;
use crate::exchange::{Call, Handler};
use crate::peers::{ours, tower_governor};
use crate::race::{Contestant, Visits, race};
use crate::report::heading;

const PROFILES: u64 = 10_000;
const OURS: &str = "tower-quota, with headers";
const THEIRS: &str = "tower_governor, with headers";

/// Each profile may do one request a day, and has done it. Ours answers with a problem document,
/// tower_governor with a line of text.
pub(crate) fn denial(scale: &Scale) {
    heading(&format!("A denied request, profiles: {PROFILES}"));
    let handler = Handler { headers: true };
    let theirs = tower_governor::with_headers(handler, 1);
    let ours = ours::service(handler, 1, Headers::Draft11);
    let granted = Visits { call: Call::metered(), profiles: PROFILES, expected: StatusCode::OK };
    let denied = Visits { expected: StatusCode::TOO_MANY_REQUESTS, ..granted.clone() };
    let contestants = vec![
        Contestant::serving("bare service, granted", handler, &granted),
        Contestant::serving(THEIRS, theirs, &denied),
        Contestant::serving(OURS, ours, &denied),
    ];
    let times = race(contestants, scale.race);
    times.print();
    let ratio = times.median(|time| time(OURS) / time(THEIRS));
    println!("  ours / tower_governor's, building the request included: {ratio:.2}");
}

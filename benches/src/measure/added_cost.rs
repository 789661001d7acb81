//! What a layer adds to a request that it lets through: ours finds the route, reserves, carries
//! the reservation in the body and commits; the peers charge a bucket.

use http::StatusCode;
use tower_quota::Headers;

use super::Scale;
use crate::exchange::{Call, Handler};
use crate::peers::{PLENTY, axum_governor, ours, tower_governor};
use crate::race::{Contestant, Length, Times, Visits, race};
use crate::report::{Report, heading};

const BARE: &str = "bare service";
const OURS: &str = "tower-quota, with headers";
const THEIRS: &str = "tower_governor, with headers";
const OURS_PLAIN: &str = "tower-quota, without";
const THEIRS_PLAIN: &str = "tower_governor, without";

/// Under axum, where requests have extensions and answers have headers: at one profile, ten
/// thousand and many. Where they have none: at ten thousand.
pub(crate) fn added_cost(scale: &Scale, report: &mut Report) {
    let handler = Handler { headers: true };
    for profiles in [1, 10_000, scale.profiles] {
        heading(&format!("A granted request, profiles: {profiles}"));
        let (with, without) = ratios(handler, Call::metered(), profiles, scale.race);
        let what =
            |headers| format!("added / tower_governor's, {headers} headers, profiles: {profiles}");
        report.at_most(1.25, what("with"), with);
        report.at_most(2.2, what("without"), without);
    }
    heading("A granted request without extensions, answered without headers, profiles: 10000");
    let handler = Handler { headers: false };
    ratios(handler, Call::metered().without_extensions(), 10_000, scale.race);
}

/// Our added cost to tower_governor's, with headers and without.
fn ratios(handler: Handler, call: Call, profiles: u64, length: Length) -> (f64, f64) {
    let visits = Visits { call, profiles, expected: StatusCode::OK };
    let times = contest(handler, &visits, length);
    times.print();
    let ratio =
        |ours, theirs| times.median(|time| (time(ours) - time(BARE)) / (time(theirs) - time(BARE)));
    let with = ratio(OURS, THEIRS);
    let without = ratio(OURS_PLAIN, THEIRS_PLAIN);
    println!("  added, ours / tower_governor's: {with:.2} with headers, {without:.2} without");
    (with, without)
}

fn contest(handler: Handler, visits: &Visits, length: Length) -> Times {
    let theirs = tower_governor::with_headers(handler, PLENTY);
    let ours = ours::service(handler, PLENTY, Headers::Draft11);
    let theirs_plain = tower_governor::plain(handler, PLENTY);
    let ours_plain = ours::service(handler, PLENTY, Headers::None);
    let other = axum_governor::with_headers(handler);
    let contestants = vec![
        Contestant::serving(BARE, handler, visits),
        Contestant::serving(THEIRS, theirs, visits),
        Contestant::serving(OURS, ours, visits),
        Contestant::serving(THEIRS_PLAIN, theirs_plain, visits),
        Contestant::serving(OURS_PLAIN, ours_plain, visits),
        Contestant::serving("axum-governor, with headers", other, visits),
    ];
    race(contestants, length)
}

//! What our layer adds to a request on a route that no quota is for.

use http::StatusCode;
use tower_quota::Headers;

use super::Scale;
use crate::exchange::{Call, Handler};
use crate::peers::{PLENTY, ours};
use crate::race::{Contestant, Visits, race};
use crate::report::{Report, heading};

const BARE: &str = "bare service";
const OURS: &str = "tower-quota";

/// The look-up among six patterns, and the way through.
pub(crate) fn unmetered(scale: &Scale, report: &mut Report) {
    heading("A request on a route that is not metered");
    let handler = Handler { headers: true };
    let layered = ours::service(handler, PLENTY, Headers::Draft11);
    let visits = Visits { call: Call::unmetered(), profiles: 1, expected: StatusCode::OK };
    let contestants = vec![
        Contestant::serving(BARE, handler, &visits),
        Contestant::serving(OURS, layered, &visits),
    ];
    let times = race(contestants, scale.race);
    times.print();
    let added = times.median(|time| time(OURS) - time(BARE));
    report.at_most(40.0, "added to a request that is not metered, ns", added);
}

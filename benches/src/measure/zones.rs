//! What a calendar window costs in a zone of the profile's, over what it costs in UTC.

use chrono_tz::Tz;
use tower_quota::store::Answer;
use tower_quota::{Check, Limit, Plan, Profile, Quotas, SystemClock, Window};

use super::Scale;
use crate::exchange::shuffled;
use crate::race::{Contestant, race};
use crate::report::{Report, heading};

const PROFILES: u64 = 1_000;

const UTC: &str = "in UTC";
const ZONE: &str = "in one zone";
const ZONES: &str = "in a hundred zones";

/// A check, because it does little else. Profiles differ in nothing but their zone.
pub(crate) fn zones(scale: &Scale, report: &mut Report) {
    for (name, window) in [("day", Window::Day), ("month", Window::Month)] {
        heading(&format!("Checks of a calendar {name}, profiles: {PROFILES}"));
        let one = |_| Some(Tz::Europe__Berlin);
        let many = |profile| Some(chrono_tz::TZ_VARIANTS[profile as usize % 100 * 5]);
        let contestants = vec![
            contestant(UTC, window, |_| None),
            contestant(ZONE, window, one),
            contestant(ZONES, window, many),
        ];
        let times = race(contestants, scale.race);
        times.print();
        let added = |who| times.median(|time| time(who) - time(UTC));
        report.at_most(10.0, format!("calendar {name} in a zone minus UTC, ns"), added(ZONE));
        report.at_most(10.0, format!("calendar {name} in 100 zones minus UTC, ns"), added(ZONES));
    }
}

fn contestant(name: &'static str, window: Window, zone: impl Fn(u64) -> Option<Tz>) -> Contestant {
    let plan = Plan::new("free").feature("remix", [Limit::new(1, window).profile_calendar()]);
    let quotas = Quotas::builder().plan(plan).clock(SystemClock).build();
    let quotas = quotas.expect("a complete configuration");
    let profile = |number: u64| {
        let profile = Profile::new(number.to_string(), "free");
        match zone(number) {
            Some(zone) => profile.zone(zone),
            None => profile,
        }
    };
    let profiles: Vec<_> = (0..PROFILES).map(profile).collect();
    Contestant::new(name, move |turns| {
        for turn in turns {
            let profile = &profiles[shuffled(turn, PROFILES) as usize];
            let answer = quotas.check(profile, "remix", 1);
            assert!(matches!(answer, Answer::Ready(Ok(Check::Allowed(_)))), "nothing was used");
        }
    })
}

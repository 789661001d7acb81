//! What our books in memory take, and whether they stop growing.

use std::time::Duration;

use chrono::DateTime;
use tower_quota::ManualClock;

use super::Scale;
use crate::counting::counted;
use crate::peers::{PLENTY, ours};
use crate::report::{Report, heading};

const DAYS: u64 = 10;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Each day, as many profiles as the day before spend one unit of one feature, evenly over the day,
/// and none of them ever comes back.
///
/// The books lie in 256 parts, whose tables double. The first day is a measure for the others only
/// where none of them is about to: 130,000 profiles are 508 a part, and chance has more than 512 in
/// one part after another, which then takes twice as much.
pub(crate) fn memory(scale: &Scale, report: &mut Report) {
    let profiles = scale.profiles;
    heading(&format!("Memory, with {profiles} new profiles a day"));
    let clock = ManualClock::at(DateTime::UNIX_EPOCH);
    let quotas = ours::quotas(PLENTY, clock.clone());
    let mut live_bytes = 0;
    let mut a_profile = Vec::new();
    for day in 0..DAYS {
        let today = counted(|| {
            for number in day * profiles..(day + 1) * profiles {
                ours::reserve_and_commit(&quotas, &ours::profile(number));
                clock.advance(DAY / profiles as u32);
            }
        });
        live_bytes += today.live_bytes;
        a_profile.push(live_bytes as f64 / profiles as f64);
        println!(
            "  day {:>2}: {live_bytes:>12} bytes live, {:>6.1} for each of the day's profiles",
            day + 1,
            a_profile[day as usize]
        );
    }
    let most = a_profile.iter().copied().fold(0.0, f64::max);
    report.at_most(200.0, "bytes a profile and feature", a_profile[0]);
    report.at_most(1.1, "most bytes live in ten days / on the first", most / a_profile[0]);
}

//! Days that are remembered where they happened.

use std::time::Duration;

use chrono::{TimeDelta, Weekday};
use chrono_tz::Tz;
use http::header::RETRY_AFTER;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Clock, Decision, Limit, ManualClock, Profile, QuotaLayer, Scope, Window};

use crate::support::{
    at, denied, empty, get, granted, profile, race, remix, reserve, spend, status, used_and_held,
};

/// Asserts when the window around `instant` starts and ends, and that it can be spent until then
/// and no longer. Returns its length in hours.
#[track_caller]
fn assert_window(limit: &Limit, guest: &Profile, instant: &str, [start, end]: [&str; 2]) -> f64 {
    let clock = ManualClock::at(at(instant));
    let quotas = remix(&clock, [limit.clone()]);
    let window = status(&quotas, guest, "remix");
    let seconds = window.window_seconds().unwrap();
    let length = TimeDelta::seconds(seconds.try_into().unwrap());
    let resets_at = window.resets_at().unwrap();
    assert_eq!((resets_at - length, resets_at), (at(start), at(end)), "at {instant}");

    clock.set(at(start) - TimeDelta::milliseconds(1));
    spend(&quotas, guest, limit.amount());
    clock.set(at(start));
    spend(&quotas, guest, limit.amount());
    clock.set(at(end) - TimeDelta::milliseconds(1));
    let denial = denied(reserve(&quotas, guest));
    assert_eq!((denial.resets_at(), denial.retry_after()), (Some(at(end)), Some(1)));
    clock.set(at(end));
    granted(reserve(&quotas, guest)).release();
    #[expect(clippy::cast_precision_loss, reason = "a window has few seconds")]
    let hours = seconds as f64 / 3_600.0;
    hours
}

/// The same, of a day in a zone.
#[track_caller]
fn assert_day(zone: Tz, instant: &str, bounds: [&str; 2], hours: f64) {
    let limit = Limit::new(1, Window::Day).zone(zone);
    let found = assert_window(&limit, &profile("7"), instant, bounds);
    assert!((found - hours).abs() < 1e-9, "{found} hours");
}

#[test]
fn a_day_on_which_clocks_are_set_has_23_or_25_hours() {
    let berlin = Tz::Europe__Berlin;
    let spring = ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"];
    assert_day(berlin, "2026-03-29T12:00:00Z", spring, 23.0);
    let autumn = ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"];
    assert_day(berlin, "2026-10-25T12:00:00Z", autumn, 25.0);
    // By half an hour only.
    let lord_howe = ["2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z"];
    assert_day(Tz::Australia__Lord_Howe, "2026-10-04T00:00:00Z", lord_howe, 23.5);
}

#[test]
fn a_day_without_a_midnight_begins_where_clocks_jump_over_it() {
    let day = ["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"];
    assert_day(Tz::America__Sao_Paulo, "2018-11-04T12:00:00Z", day, 23.0);
    let day = ["2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"];
    assert_day(Tz::America__Havana, "2026-03-08T05:00:00Z", day, 23.0);
}

#[test]
fn a_day_with_two_midnights_begins_at_the_first() {
    let day = ["2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"];
    assert_day(Tz::America__Havana, "2026-11-01T04:00:00Z", day, 25.0);
    assert_day(Tz::America__Havana, "2026-11-01T05:30:00Z", day, 25.0);
}

/// In Newfoundland it was a minute past midnight when it became a minute past 23 again.
#[test]
fn an_hour_that_comes_again_belongs_to_the_day_that_has_begun() {
    let day = ["2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"];
    for instant in ["2010-11-07T02:30:00Z", "2010-11-07T03:00:00Z", "2010-11-07T12:00:00Z"] {
        assert_day(Tz::America__St_Johns, instant, day, 25.0);
    }
}

/// Samoa had no 30 December in 2011, Kwajalein no 21 August in 1993.
#[test]
fn a_date_that_is_skipped_has_no_window() {
    let apia = Tz::Pacific__Apia;
    let skip = "2011-12-30T10:00:00Z";
    assert_day(apia, "2011-12-30T09:59:59Z", ["2011-12-29T10:00:00Z", skip], 24.0);
    assert_day(apia, skip, [skip, "2011-12-31T10:00:00Z"], 24.0);
    let (kwajalein, skip) = (Tz::Pacific__Kwajalein, "1993-08-21T12:00:00Z");
    assert_day(kwajalein, "1993-08-21T11:59:59Z", ["1993-08-20T12:00:00Z", skip], 24.0);
    assert_day(kwajalein, skip, [skip, "1993-08-22T12:00:00Z"], 24.0);
    // A week has six days, and one that begins on the day that is not there does so on the next.
    let week = Limit::new(1, Window::Week).zone(apia);
    let bounds = ["2011-12-26T10:00:00Z", "2012-01-01T10:00:00Z"];
    assert_window(&week, &profile("7"), "2011-12-30T10:00:00Z", bounds);
    let friday = week.week_start(Weekday::Fri);
    let bounds = ["2011-12-30T10:00:00Z", "2012-01-05T10:00:00Z"];
    assert_window(&friday, &profile("7"), "2011-12-30T10:00:00Z", bounds);
}

#[test]
fn an_hour_is_that_of_clocks_that_are_off_by_minutes() {
    let kathmandu = Limit::new(1, Window::Hour).zone(Tz::Asia__Kathmandu);
    let bounds = ["2026-11-24T11:15:00Z", "2026-11-24T12:15:00Z"];
    assert_window(&kathmandu, &profile("7"), "2026-11-24T12:00:00Z", bounds);
    // Where clocks go from 2:00 to 1:30, an hour is as long as what is left of it.
    let lord_howe = Limit::new(1, Window::Hour).zone(Tz::Australia__Lord_Howe);
    let bounds = ["2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"];
    assert_window(&lord_howe, &profile("7"), "2026-04-04T15:29:59.999Z", bounds);
}

#[test]
fn months_begin_on_the_last_day_where_they_are_too_short() {
    let monthly = Limit::new(1, Window::Month).profile_calendar();
    let billed = profile("7").billing_day(31).unwrap();
    let bounds = ["2027-01-31T00:00:00Z", "2027-02-28T00:00:00Z"];
    assert_window(&monthly, &billed, "2027-02-27T12:00:00Z", bounds);
    let bounds = ["2027-02-28T00:00:00Z", "2027-03-31T00:00:00Z"];
    assert_window(&monthly, &billed, "2027-02-28T00:00:00Z", bounds);
    let bounds = ["2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"];
    assert_window(&monthly, &billed, "2028-03-30T23:59:59Z", bounds);
    // A year is twelve such months.
    let yearly = Limit::new(1, Window::Year).profile_calendar();
    let bounds = ["2026-01-31T00:00:00Z", "2027-01-31T00:00:00Z"];
    assert_window(&yearly, &billed, "2027-01-30T12:00:00Z", bounds);
}

#[test]
fn a_limits_own_calendar_wins_and_the_profiles_says_the_rest() {
    let guest = profile("7").zone(Tz::Asia__Kolkata).billing_day(10).unwrap();
    let limit = Limit::new(1, Window::Month).profile_calendar();
    let noon = "2026-11-24T12:00:00Z";
    let of_profile = ["2026-11-09T18:30:00Z", "2026-12-09T18:30:00Z"];
    assert_window(&limit, &guest, noon, of_profile);
    let own_zone = ["2026-11-10T00:00:00Z", "2026-12-10T00:00:00Z"];
    assert_window(&limit.clone().zone(Tz::UTC), &guest, noon, own_zone);
    let own_day = ["2026-11-14T18:30:00Z", "2026-12-14T18:30:00Z"];
    assert_window(&limit.clone().month_start(15), &guest, noon, own_day);
    let own_both = ["2026-11-14T23:00:00Z", "2026-12-14T23:00:00Z"];
    let berlin = limit.month_start(15).zone(Tz::Europe__Berlin);
    assert_window(&berlin, &guest, noon, own_both);
}

/// A profile that is at midnight whenever its day is over gets one day's units each time.
#[test]
fn whoever_travels_from_midnight_to_midnight_gains_nothing() {
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let quotas = remix(&clock, [Limit::new(1, Window::Day).profile_calendar()]);
    let mut granted = Vec::new();
    for _ in 0..10 * 24 * 4 {
        for zone in chrono_tz::TZ_VARIANTS.into_iter().step_by(7) {
            if let Decision::Granted(reservation) = reserve(&quotas, &profile("7").zone(zone)) {
                reservation.commit();
                granted.push(clock.now());
            }
        }
        clock.advance(Duration::from_secs(15 * 60));
    }
    let days = granted.windows(2).skip(1).map(|two| two[0].seconds_until(two[1]));
    assert!(days.clone().all(|seconds| seconds >= 86_400), "{granted:?}");
    assert!(granted.len() >= 6, "{granted:?}");
}

/// The day of the old zone is finished first, and the first one of the new zone ends at its second
/// midnight.
#[test]
fn a_profile_that_moves_finishes_its_day() {
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let quotas = remix(&clock, [Limit::new(1, Window::Day).profile_calendar()]);
    let [lima, berlin] =
        [Tz::America__Lima, Tz::Europe__Berlin].map(|zone| profile("7").zone(zone));
    spend(&quotas, &lima, 1);
    let over = at("2026-11-25T05:00:00Z");
    assert_eq!(denied(reserve(&quotas, &berlin)).resets_at(), Some(over));
    clock.set(over);
    spend(&quotas, &berlin, 1);
    let over = at("2026-11-26T23:00:00Z");
    let denial = denied(reserve(&quotas, &lima));
    assert_eq!(denial.resets_at(), Some(over));
    assert_eq!(denial.status().unwrap().window_seconds(), Some(42 * 3_600));
    clock.set(over);
    assert_eq!(status(&quotas, &berlin, "remix").resets_at(), Some(at("2026-11-27T23:00:00Z")));
}

/// Profiles in several zones at one engine do not get each other's days.
#[test]
fn everybody_has_the_day_of_their_own_zone() {
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let quotas = remix(&clock, [Limit::new(1, Window::Day).profile_calendar()]);
    let guests = [Tz::Pacific__Auckland, Tz::Asia__Kolkata, Tz::America__Lima]
        .map(|zone| Profile::new(zone.name(), "free").zone(zone));
    let ends = ["2026-11-25T11:00:00Z", "2026-11-24T18:30:00Z", "2026-11-25T05:00:00Z"];
    for _ in 0..3 {
        for (guest, end) in guests.iter().zip(ends) {
            assert_eq!(status(&quotas, guest, "remix").resets_at(), Some(at(end)));
        }
    }
    for guest in &guests {
        spend(&quotas, guest, 1);
    }
    clock.set(at("2026-11-24T18:30:00Z"));
    let used = guests.map(|guest| used_and_held(&quotas, &guest).0);
    assert_eq!(used, [1, 0, 1]);
}

/// A profile's zone moves its own windows, not those that it shares.
#[test]
fn profiles_in_other_zones_share_one_day_of_everyones() {
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let daily = Limit::new(2, Window::Day).scope(Scope::Everyone).profile_calendar();
    let quotas = remix(&clock, [daily]);
    let [kiwi, peruvian] = [Tz::Pacific__Auckland, Tz::America__Lima]
        .map(|zone| Profile::new(zone.name(), "free").zone(zone));
    spend(&quotas, &kiwi, 1);
    spend(&quotas, &peruvian, 1);
    let denial = denied(reserve(&quotas, &kiwi));
    assert_eq!(denial.resets_at(), Some(at("2026-11-25T00:00:00Z")));
}

/// Windows are remembered for all engines of a process: two whose clocks differ by a day do not get
/// each other's.
#[test]
fn engines_on_different_days_do_not_disturb_each_other() {
    let days = [
        ("2026-11-24T12:00:00Z", "2026-11-24T23:00:00Z"),
        ("2026-11-25T12:00:00Z", "2026-11-25T23:00:00Z"),
    ];
    race(days.len(), |number| {
        let (noon, end) = days[number];
        let daily = Limit::new(1, Window::Day).profile_calendar();
        let quotas = remix(&ManualClock::at(at(noon)), [daily]);
        let guest = profile("7").zone(Tz::Europe__Berlin);
        for _ in 0..20_000 {
            let window = status(&quotas, &guest, "remix");
            assert_eq!(window.resets_at(), Some(at(end)));
            assert_eq!(window.window_seconds(), Some(86_400));
        }
    });
}

/// The headers of one and the same layer say how long this day is, and what is left of it.
#[tokio::test]
async fn headers_are_exact_on_the_days_on_which_clocks_are_set() {
    let clock = ManualClock::at(at("2026-03-28T22:59:58.500Z"));
    let quotas = remix(&clock, [Limit::new(1, Window::Day).profile_calendar()]);
    let guest = profile("7").zone(Tz::Europe__Berlin);
    let layer = QuotaLayer::builder(quotas).feature("remix");
    let layer = layer.profile(move |_| Some(guest.clone())).build().unwrap();
    let days = [
        ("2026-03-28T22:59:58.500Z", "86400", "2"),
        ("2026-03-28T23:00:00Z", "82800", "82800"),
        ("2026-10-25T22:59:59Z", "90000", "1"),
        ("2026-11-24T23:00:00Z", "86400", "86400"),
    ];
    for (instant, length, left) in days {
        clock.set(at(instant));
        let call = || layer.layer(service_fn(empty)).oneshot(get());
        let _ = call().await.unwrap();
        let denied = call().await.unwrap();
        let headers = denied.headers();
        assert_eq!(headers[RETRY_AFTER], left, "at {instant}");
        assert_eq!(headers["ratelimit-policy"], format!("\"day\";q=1;w={length}"));
        assert_eq!(headers["ratelimit"], format!("\"day\";r=0;t={left}"));
    }
}

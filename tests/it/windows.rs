//! Windows against a slow oracle that walks the calendar, and the law of the advertised instant.

use std::time::Duration;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc, Weekday};
use proptest::prelude::*;
use tower_quota::{Clock, Limit, ManualClock, Span, Timestamp, Window};

use crate::support::{at, denied, granted, profile, remix, reserve, spend, used_and_held};

const CALENDAR: [Window; 7] = [
    Window::Second,
    Window::Minute,
    Window::Hour,
    Window::Day,
    Window::Week,
    Window::Month,
    Window::Year,
];

/// What chrono can tell, in milliseconds.
const MIN: i64 = Timestamp::MIN.as_millis();
const MAX: i64 = Timestamp::MAX.as_millis();

fn around(window: Window, instant: DateTime<Utc>) -> Span {
    window.around(instant.into())
}

fn span(start: DateTime<Utc>, end: DateTime<Utc>) -> Span {
    Span { start: start.into(), end: end.into() }
}

/// Asserts where a window of this kind starts and ends.
fn assert_window(window: Window, instant: &str, start: &str, end: &str) {
    assert_eq!(around(window, at(instant)), span(at(start), at(end)), "{window:?} at {instant}");
}

/// The window by walking second by second, or day by day, to where one starts.
fn walk(window: Window, instant: DateTime<Utc>) -> Span {
    match window {
        Window::Second | Window::Minute | Window::Hour => {
            let starts = |time: &DateTime<Utc>| match window {
                Window::Minute => time.second() == 0,
                Window::Hour => time.second() == 0 && time.minute() == 0,
                _ => true,
            };
            let second = TimeDelta::seconds(1);
            let mut start = instant.with_nanosecond(0).unwrap();
            while !starts(&start) {
                start -= second;
            }
            let mut end = start + second;
            while !starts(&end) {
                end += second;
            }
            span(start, end)
        }
        _ => {
            let starts = |date: &NaiveDate| match window {
                Window::Week => date.weekday() == Weekday::Mon,
                Window::Month => date.day() == 1,
                Window::Year => date.ordinal() == 1,
                _ => true,
            };
            let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
            let mut start = instant.date_naive();
            while !starts(&start) {
                start = start - Days::new(1);
            }
            let mut end = start + Days::new(1);
            while !starts(&end) {
                end = end + Days::new(1);
            }
            span(midnight(start), midnight(end))
        }
    }
}

fn millis(instant: &str) -> i64 {
    at(instant).timestamp_millis()
}

/// Any millisecond of four thousand years, and often one beside a year's end.
fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    let any = millis("0001-01-01T00:00:00Z")..millis("4000-01-01T00:00:00Z");
    let turn = (1_i32..4_000, -2_000..2_000_i64).prop_map(|(year, off)| {
        let turn = NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_time(NaiveTime::MIN);
        turn.and_utc().timestamp_millis() + off
    });
    let millis = prop_oneof![2 => any, 1 => turn];
    millis.prop_map(|millis| DateTime::from_timestamp_millis(millis).unwrap())
}

fn windows() -> impl Strategy<Value = Window> {
    let fixed = (1..40_000_000_000_u64).prop_map(Duration::from_millis).prop_map(Window::Fixed);
    prop_oneof![4 => prop::sample::select(&CALENDAR[..]), 1 => fixed]
}

proptest! {
    #[test]
    fn a_calendar_window_is_where_a_walk_finds_it(instant in instants()) {
        for window in CALENDAR {
            prop_assert_eq!(around(window, instant), walk(window, instant), "{:?}", window);
        }
    }

    /// Walks from the epoch, forwards or back.
    #[test]
    fn a_fixed_window_is_where_a_walk_from_the_epoch_finds_it(
        length in 1..5_000_000_000_i64,
        windows in -300..300_i64,
        share in 0.0..1.0_f64,
    ) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "any instant in the window will do"
        )]
        let instant = windows * length + (share * length as f64) as i64;
        let mut start = 0;
        while start > instant {
            start -= length;
        }
        while start + length <= instant {
            start += length;
        }
        let window = Window::Fixed(Duration::from_millis(length.unsigned_abs()));
        let found = window.around(Timestamp::from_millis(instant));
        prop_assert_eq!((found.start.as_millis(), found.end.as_millis()), (start, start + length));
    }

    #[test]
    fn windows_tile_time_without_gap_or_overlap(window in windows(), instant in instants()) {
        let this = around(window, instant);
        let (first, instant) = (this.start.as_millis(), instant.timestamp_millis());
        prop_assert!(first <= instant && instant < this.end.as_millis());
        let of = |millis| window.around(Timestamp::from_millis(millis));
        prop_assert_eq!(of(first), this);
        prop_assert_eq!(of(this.end.as_millis() - 1), this);
        prop_assert_eq!(of(this.end.as_millis()).start, this.end);
        prop_assert_eq!(of(first - 1).end, this.start);
    }

    /// Denied until the advertised instant, allowed exactly at it.
    #[test]
    fn a_denied_request_fits_exactly_when_it_was_told_to(
        window in windows(),
        instant in instants(),
    ) {
        let clock = ManualClock::at(instant);
        let quotas = remix(&clock, [Limit::new(1, window)]);
        spend(&quotas, &profile("7"), 1);
        let denial = denied(reserve(&quotas, &profile("7")));
        let resets_at = denial.resets_at().unwrap();
        prop_assert_eq!(denial.standing().resets_at(), Some(resets_at));

        clock.set(resets_at - TimeDelta::milliseconds(1));
        denied(reserve(&quotas, &profile("7")));
        clock.set(resets_at);
        granted(reserve(&quotas, &profile("7"))).release();

        // Whole seconds are never too few, and less than one too many.
        let wait = TimeDelta::seconds(denial.retry_after().unwrap().try_into().unwrap());
        prop_assert!(instant + wait >= resets_at);
        prop_assert!(instant + wait < resets_at + TimeDelta::seconds(1));
    }

    #[test]
    fn no_instant_and_no_length_panics(
        millis in prop_oneof![MIN..=MAX, any::<i64>()],
        length in any::<u64>(),
        lifetime in any::<bool>(),
    ) {
        let instant = Timestamp::from_millis(millis);
        let odd = if lifetime { Window::Lifetime } else { Window::Fixed(Duration::from_millis(length)) };
        for window in CALENDAR.into_iter().chain([odd]) {
            let span = window.around(instant);
            prop_assert!(span.start <= instant && instant <= span.end, "{window:?} at {millis}");
            let _ = (span.seconds(), span.resets_at());
        }
    }
}

#[test]
fn the_ends_of_the_calendar_have_windows_and_can_be_spent_in() {
    for end in [Timestamp::MIN, Timestamp::MAX] {
        let clock = ManualClock::at(end.into());
        let quotas = remix(&clock, CALENDAR.map(|window| Limit::new(1, window)));
        spend(&quotas, &profile("7"), 1);
        denied(reserve(&quotas, &profile("7")));
        assert_eq!(used_and_held(&quotas, &profile("7")), (1, 0));
        assert_eq!(clock.now(), end);
    }
}

#[test]
fn february_has_a_29th_every_four_years() {
    for year in [2000, 2024, 2028] {
        let [day, month] = ["29T12:00:00Z", "01T00:00:00Z"].map(|it| format!("{year}-02-{it}"));
        let march = format!("{year}-03-01T00:00:00Z");
        assert_window(Window::Day, &day, &format!("{year}-02-29T00:00:00Z"), &march);
        assert_window(Window::Month, &day, &month, &march);
        assert_eq!(around(Window::Year, at(&day)).seconds(), Some(366 * 86_400));
    }
}

#[test]
fn february_has_no_29th_in_most_centuries() {
    for year in [1900, 2026, 2100] {
        let last = format!("{year}-02-28T23:59:59.999Z");
        let march = format!("{year}-03-01T00:00:00Z");
        assert_window(Window::Day, &last, &format!("{year}-02-28T00:00:00Z"), &march);
        assert_window(Window::Month, &last, &format!("{year}-02-01T00:00:00Z"), &march);
        assert_eq!(around(Window::Year, at(&last)).seconds(), Some(365 * 86_400));
    }
}

#[test]
fn a_year_turns_at_midnight() {
    let turns = [(1969, 1970), (1970, 1971), (1999, 2000), (2026, 2027)];
    for (old, new) in turns {
        let midnight = format!("{new}-01-01T00:00:00Z");
        let last = format!("{old}-12-31T23:59:59.999Z");
        assert_window(Window::Year, &last, &format!("{old}-01-01T00:00:00Z"), &midnight);
        assert_window(Window::Month, &last, &format!("{old}-12-01T00:00:00Z"), &midnight);
        let next = format!("{}-01-01T00:00:00Z", new + 1);
        assert_window(Window::Year, &midnight, &midnight, &next);
    }
}

/// ISO 8601: a week belongs to the year of its Thursday, so some years have a 53rd.
#[test]
fn a_week_runs_across_the_year_from_monday_to_monday() {
    let last_weeks = [
        ("2020-12-28T00:00:00Z", "2021-01-03T23:59:59.999Z", "2021-01-04T00:00:00Z", 53),
        ("2026-12-28T00:00:00Z", "2027-01-03T23:59:59.999Z", "2027-01-04T00:00:00Z", 53),
        ("2024-12-30T00:00:00Z", "2025-01-05T23:59:59.999Z", "2025-01-06T00:00:00Z", 1),
        ("1969-12-29T00:00:00Z", "1970-01-04T23:59:59.999Z", "1970-01-05T00:00:00Z", 1),
    ];
    for (start, last, end, number) in last_weeks {
        assert_window(Window::Week, start, start, end);
        assert_window(Window::Week, last, start, end);
        assert_eq!(at(last).iso_week().week(), number);
    }
}

#[test]
fn windows_before_1970_start_before_the_instant() {
    let instant = "1969-12-31T23:59:58.500Z";
    assert_window(Window::Second, instant, "1969-12-31T23:59:58Z", "1969-12-31T23:59:59Z");
    assert_window(Window::Minute, instant, "1969-12-31T23:59:00Z", "1970-01-01T00:00:00Z");
    let ninety = Window::Fixed(Duration::from_secs(90));
    assert_window(ninety, instant, "1969-12-31T23:58:30Z", "1970-01-01T00:00:00Z");
}

#[test]
fn a_lifetime_has_no_end() {
    let span = around(Window::Lifetime, at("2026-11-24T12:00:00Z"));
    assert_eq!((span.start, span.end), (Timestamp::MIN, Timestamp::MAX));
    assert_eq!((span.resets_at(), span.seconds()), (None, None));
}

#[test]
fn seconds_are_rounded_up_and_never_negative() {
    let [now, half_a_second_later] = [0, 500].map(Timestamp::from_millis);
    assert_eq!(now.seconds_until(half_a_second_later), 1);
    assert_eq!(now.seconds_until(now.saturating_add(Duration::from_millis(1_001))), 2);
    assert_eq!(now.seconds_until(now.saturating_add(Duration::from_secs(1))), 1);
    assert_eq!(half_a_second_later.seconds_until(now), 0);
    assert_eq!(now.saturating_add(Duration::MAX), Timestamp::MAX);
}

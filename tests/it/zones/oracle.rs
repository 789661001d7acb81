//! The calendar of a zone, slowly: a list of what clocks were set to when, and a walk over dates.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Offset, TimeZone, Weekday};
use chrono_tz::Tz;
use tower_quota::{Span, Timestamp, Window};

const HOUR: i64 = 3_600_000;
const WEEK: i64 = 7 * 24 * HOUR;
/// The beginnings of 1970 and 2100.
pub(super) const FIRST: i64 = 0;
pub(super) const LAST: i64 = 4_102_444_800_000;
/// The beginning of 2027: what is later follows from rules.
pub(super) const DECREED: i64 = 1_798_761_600_000;

pub(super) struct Oracle {
    /// From when on clocks are ahead of UTC by how much, in milliseconds.
    stretches: Vec<(i64, i64)>,
}

fn offset(zone: Tz, at: i64) -> i64 {
    let at = DateTime::from_timestamp_millis(at).unwrap().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc()) * 1_000
}

impl Oracle {
    /// Looks at the zone's clocks each six days: none is set twice in so few. Then by the second.
    pub(super) fn new(zone: Tz) -> Self {
        const STEP: i64 = WEEK - 24 * HOUR;
        // A year's window may lie two years off.
        let (mut at, end) = (FIRST - 110 * WEEK, LAST + 110 * WEEK);
        let mut old = offset(zone, at);
        let mut stretches = vec![(i64::MIN / 2, old)];
        while at < end {
            let new = offset(zone, at + STEP);
            if old != new {
                let (mut last, mut first) = (at / 1_000, (at + STEP) / 1_000);
                while first - last > 1 {
                    let between = (last + first) / 2;
                    if offset(zone, between * 1_000) == old {
                        last = between;
                    } else {
                        first = between;
                    }
                }
                stretches.push((first * 1_000, new));
            }
            (at, old) = (at + STEP, new);
        }
        Self { stretches }
    }

    /// What clocks are set to, and when.
    pub(super) fn stretches(&self) -> &[(i64, i64)] {
        &self.stretches
    }

    /// The stretches within a few days of `at`: from when, until when, and how far ahead.
    fn near(&self, at: i64) -> impl Iterator<Item = (i64, i64, i64)> {
        let next = self.stretches.partition_point(|stretch| stretch.0 < at - WEEK);
        let near = &self.stretches[next.saturating_sub(1)..];
        let ends = near.iter().skip(1).map(|next| next.0).chain([i64::MAX]);
        let all = near.iter().zip(ends).map(|((start, ahead), end)| (*start, end, *ahead));
        all.take_while(move |stretch| stretch.0 <= at + WEEK)
    }

    /// When clocks are set.
    pub(super) fn changes(&self) -> impl Iterator<Item = i64> {
        self.stretches.iter().map(|stretch| stretch.0).filter(|at| (FIRST..LAST).contains(at))
    }

    /// The first instant at which clocks show `local` or more: of each stretch the first, and of
    /// those the first.
    fn first(&self, local: i64) -> i64 {
        let shown = self.near(local).filter_map(|(start, end, ahead)| {
            let first = start.max(local - ahead);
            (first < end).then_some(first)
        });
        shown.min().unwrap()
    }

    fn begins(&self, date: NaiveDate) -> i64 {
        self.first(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
    }

    /// The window around `instant`.
    pub(super) fn window(&self, window: Window, week: Weekday, month: u8, instant: i64) -> Span {
        let (start, end) = match window {
            Window::Hour => self.hour(instant),
            _ => self.dates(|date| turns(window, week, month, date), instant),
        };
        Span { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end) }
    }

    fn dates(&self, turns: impl Fn(NaiveDate) -> bool, instant: i64) -> (i64, i64) {
        // The latest date that has begun, also where clocks were set back to the one before.
        let utc = DateTime::from_timestamp_millis(instant).unwrap().date_naive();
        let mut date = utc + Days::new(2);
        while self.begins(date) > instant {
            date = date - Days::new(1);
        }
        let mut end = date + Days::new(1);
        while !turns(date) {
            date = date - Days::new(1);
        }
        while !turns(end) {
            end = end + Days::new(1);
        }
        (self.begins(date), self.begins(end))
    }

    /// From one full hour to another; or to where clocks are set by a part of an hour.
    fn hour(&self, instant: i64) -> (i64, i64) {
        let mut turns: Vec<i64> = Vec::new();
        let mut before: Option<i64> = None;
        for (start, end, ahead) in self.near(instant) {
            if before.is_some_and(|before| (ahead - before) % HOUR != 0) {
                turns.push(start);
            }
            before = Some(ahead);
            let full = |hour: i64| (hour * HOUR) - ahead;
            let this = (instant + ahead).div_euclid(HOUR);
            let hours = (this - 3..=this + 3).map(full);
            turns.extend(hours.filter(|at| *at >= start && *at < end));
        }
        let start = turns.iter().copied().filter(|at| *at <= instant).max().unwrap();
        (start, turns.into_iter().filter(|at| *at > instant).min().unwrap())
    }
}

/// Whether a window of this kind begins on `date`.
fn turns(window: Window, week: Weekday, month: u8, date: NaiveDate) -> bool {
    let month_turns = || {
        let is_last = (date + Days::new(1)).month() != date.month();
        let day = u32::from(month);
        date.day() == day || (is_last && date.day() < day)
    };
    match window {
        Window::Week => date.weekday() == week,
        Window::Month => month_turns(),
        Window::Year => date.month() == 1 && month_turns(),
        _ => true,
    }
}

//! When a count starts over: the bounds of a window around an instant.

use std::time::Duration;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
use compact_str::{CompactString, format_compact};

use super::rolling::Rolling;
use crate::clock::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// The epoch was a Thursday: three days after a Monday.
const EPOCH_AFTER_MONDAY: i64 = 3 * DAY;

/// When the count of a [`Limit`](crate::Limit) starts over. Calendar windows are in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Window {
    /// Each second.
    Second,
    /// Each minute.
    Minute,
    /// Each hour.
    Hour,
    /// Each day, at midnight.
    Day,
    /// Each ISO 8601 week, at midnight before Monday.
    Week,
    /// Each month, at midnight before the 1st.
    Month,
    /// Each year, at midnight before 1 January.
    Year,
    /// Spans of this length, laid end to end from the Unix epoch: a whole number of milliseconds,
    /// at least 1.
    Fixed(Duration),
    /// Not at once: units come back a length of this after they were reserved, in steps of a sixtieth
    /// of it. In no span of this length are more units reserved than the amount, wherever it begins. A
    /// whole number of milliseconds, at least 1.
    Rolling(Duration),
    /// Never: what is used stays used.
    Lifetime,
    /// Never, for nothing is used: only requests in flight are counted, each once.
    Concurrent,
}

/// The part of time over which one count runs: from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first instant.
    pub start: Timestamp,
    /// The first instant after it; [`Timestamp::MAX`] where the count never starts over.
    pub end: Timestamp,
}

impl Span {
    const LIFETIME: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// The span `[floor(at), floor(at) + length)` of a grid through `origin`, in milliseconds.
    fn on_grid(at: Timestamp, length: i64, origin: i64) -> Self {
        let since_start =
            at.as_millis().saturating_sub(origin).checked_rem_euclid(length).unwrap_or(0);
        let start = at.as_millis().saturating_sub(since_start);
        Self {
            start: Timestamp::from_millis(start),
            end: Timestamp::from_millis(start.saturating_add(length)),
        }
    }

    /// The `months` months from `first` on; a date beyond chrono's calendar reads as forever.
    fn of_months(first: Option<NaiveDate>, months: u32) -> Self {
        let midnight = |date: NaiveDate| Timestamp::from(date.and_time(NaiveTime::MIN).and_utc());
        let end = first.and_then(|first| first.checked_add_months(Months::new(months)));
        Self {
            start: first.map_or(Timestamp::MIN, midnight),
            end: end.map_or(Timestamp::MAX, midnight),
        }
    }

    /// When the count starts over; none for a lifetime.
    #[must_use]
    pub fn resets_at(self) -> Option<Timestamp> {
        (self.end < Timestamp::MAX).then_some(self.end)
    }

    /// The length in seconds, rounded up; none for a lifetime.
    #[must_use]
    pub fn seconds(self) -> Option<u64> {
        self.resets_at().map(|end| self.start.seconds_until(end))
    }
}

impl Window {
    /// The window that holds `at`.
    #[must_use]
    pub fn around(self, at: Timestamp) -> Span {
        match self {
            Self::Second => Span::on_grid(at, SECOND, 0),
            Self::Minute => Span::on_grid(at, MINUTE, 0),
            Self::Hour => Span::on_grid(at, HOUR, 0),
            Self::Day => Span::on_grid(at, DAY, 0),
            Self::Week => Span::on_grid(at, WEEK, -EPOCH_AFTER_MONDAY),
            Self::Month => {
                let date = DateTime::<Utc>::from(at).date_naive();
                Span::of_months(date.with_day(1), 1)
            }
            Self::Year => {
                let year = DateTime::<Utc>::from(at).year();
                Span::of_months(NaiveDate::from_ymd_opt(year, 1, 1), 12)
            }
            Self::Fixed(length) => Span::on_grid(at, millis(length).unwrap_or(i64::MAX), 0),
            // What there is of a rolling one is for the books to say.
            Self::Rolling(_) | Self::Lifetime | Self::Concurrent => Span::LIFETIME,
        }
    }

    /// How long it is in seconds, rounded up, where that does not depend on when it is.
    pub(crate) fn rolling_seconds(self) -> Option<u64> {
        match self {
            Self::Rolling(length) => {
                let begun = u64::from(length.subsec_nanos() > 0);
                Some(length.as_secs().saturating_add(begun))
            }
            _ => None,
        }
    }

    /// How it rolls, if it does.
    pub(crate) fn rolling(self) -> Option<Rolling> {
        match self {
            Self::Rolling(length) => Some(Rolling::new(millis(length).unwrap_or(i64::MAX))),
            _ => None,
        }
    }

    /// Whether time can be cut into such windows.
    pub(crate) fn is_valid(self) -> bool {
        match self {
            Self::Fixed(length) | Self::Rolling(length) => millis(length).is_some(),
            _ => true,
        }
    }

    /// Whether all windows of this kind are equally long.
    pub(crate) fn has_constant_length(self) -> bool {
        !matches!(self, Self::Month | Self::Year)
    }

    /// The kind of window, as a name: limits of another kind have another count.
    pub(crate) fn kind(self) -> CompactString {
        match self {
            Self::Second => CompactString::const_new("second"),
            Self::Minute => CompactString::const_new("minute"),
            Self::Hour => CompactString::const_new("hour"),
            Self::Day => CompactString::const_new("day"),
            Self::Week => CompactString::const_new("week"),
            Self::Month => CompactString::const_new("month"),
            Self::Year => CompactString::const_new("year"),
            Self::Fixed(length) => text(length),
            Self::Rolling(length) => format_compact!("rolling-{}", text(length)),
            Self::Lifetime => CompactString::const_new("lifetime"),
            Self::Concurrent => CompactString::const_new("concurrent"),
        }
    }
}

fn text(length: Duration) -> CompactString {
    match length.subsec_nanos() {
        0 => format_compact!("{}s", length.as_secs()),
        _ => format_compact!("{}ms", length.as_millis()),
    }
}

/// The milliseconds in `length`, if they are whole, positive and can be counted.
fn millis(length: Duration) -> Option<i64> {
    let whole = length.subsec_nanos() % 1_000_000 == 0 && !length.is_zero();
    whole.then(|| i64::try_from(length.as_millis()).ok()).flatten()
}

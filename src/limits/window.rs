//! When a count starts over: the bounds of a window around an instant.

use std::time::Duration;

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use compact_str::{CompactString, format_compact};

use super::rolling::Rolling;
use super::zone::midnight;
use crate::clock::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// The epoch was a Thursday: three days after a Monday.
const EPOCH_AFTER_MONDAY: i64 = 3 * DAY;

/// When the count of a [`Limit`](crate::Limit) starts over.
///
/// Hours, days, weeks, months and years are those of the limit's calendar, of the
/// [profile's](crate::Limit::profile_calendar), or else of UTC. A day begins at the first instant of
/// its date. Where clocks are set it has 23 or 25 hours, or is skipped altogether; an hour of the day
/// before that comes again after midnight belongs to the day that has begun. An hour is cut short
/// where clocks are set by a part of one.
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
    /// Each week, at midnight before Monday, or before another
    /// [weekday](crate::Limit::week_start).
    Week,
    /// Each month, at midnight before the 1st, or before another
    /// [day](crate::Limit::month_start).
    Month,
    /// Each year: twelve such months, from the one that begins in January.
    Year,
    /// Spans of this length, laid end to end from the Unix epoch: a whole number of milliseconds,
    /// at least 1.
    Fixed(Duration),
    /// Not at once: units come back a length of this after they were reserved, or up to a step later. A
    /// step is a sixtieth of it, rounded up to whole milliseconds. In no span of this length are more units reserved than the amount, wherever it begins. A
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
    pub(super) fn on_grid(at: Timestamp, length: i64, origin: i64) -> Self {
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
        let end = first.and_then(|first| first.checked_add_months(Months::new(months)));
        Self {
            start: first.map_or(Timestamp::MIN, midnight),
            end: end.map_or(Timestamp::MAX, midnight),
        }
    }

    fn millis(self) -> i64 {
        self.end.as_millis().saturating_sub(self.start.as_millis())
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
    /// The window that holds `at`, in UTC, where weeks begin on Mondays and months on the 1st.
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

    /// How long most windows of this kind are, in milliseconds; none where there is no such length.
    fn usual_length(self) -> Option<i64> {
        match self {
            Self::Second => Some(SECOND),
            Self::Minute => Some(MINUTE),
            Self::Hour => Some(HOUR),
            Self::Day => Some(DAY),
            Self::Week => Some(WEEK),
            Self::Fixed(length) => millis(length),
            Self::Month | Self::Year | Self::Rolling(_) | Self::Lifetime | Self::Concurrent => None,
        }
    }

    /// How long it can be at most, in whatever calendar; none where all have the same.
    pub(super) fn longest_anywhere(self) -> Option<Duration> {
        let days = |days: u64| Duration::from_secs(days.saturating_mul(24 * 60 * 60));
        match self {
            Self::Hour => Some(Duration::from_secs(2 * 60 * 60)),
            // With the day that it takes to go over the date line.
            Self::Day => Some(days(2)),
            Self::Week => Some(days(8)),
            Self::Month => Some(days(32)),
            Self::Year => Some(days(367)),
            _ => None,
        }
    }

    /// Whether `span` is as long as most windows of this kind are.
    pub(crate) fn is_usual(self, span: Span) -> bool {
        match self {
            // Told as long as it is, whatever of it is left.
            Self::Rolling(_) => true,
            Self::Lifetime | Self::Concurrent => span == Span::LIFETIME,
            _ => self.usual_length() == Some(span.millis()),
        }
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

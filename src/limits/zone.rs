//! Time zones: which date it is somewhere, and when it becomes another.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::window::{DAY, HOUR, Span};
use crate::clock::Timestamp;

/// A zone of the IANA database.
#[cfg(feature = "tz")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Zone(pub(super) chrono_tz::Tz);

/// There is none but UTC.
#[cfg(not(feature = "tz"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {}

impl Zone {
    /// By how much clocks are ahead of UTC, in milliseconds.
    #[cfg(feature = "tz")]
    fn offset(self, at: Timestamp) -> i64 {
        use chrono::{Offset, TimeZone};

        let at = DateTime::<Utc>::from(at).naive_utc();
        let seconds = self.0.offset_from_utc_datetime(&at).fix().local_minus_utc();
        i64::from(seconds).saturating_mul(1_000)
    }

    #[cfg(not(feature = "tz"))]
    fn offset(self, _: Timestamp) -> i64 {
        match self {}
    }

    /// A number of its own, from 1 to 1,023.
    #[cfg(feature = "tz")]
    pub(super) fn number(self) -> u32 {
        (self.0 as u32).saturating_add(1)
    }

    #[cfg(not(feature = "tz"))]
    pub(super) fn number(self) -> u32 {
        match self {}
    }

    /// The date that calendars show.
    pub(super) fn date(self, at: Timestamp) -> NaiveDate {
        let local = at.as_millis().saturating_add(self.offset(at));
        DateTime::<Utc>::from(Timestamp::from_millis(local)).date_naive()
    }

    /// The first instant at which it is `date` or later: midnight, the first of two, or where there
    /// is none the moment at which clocks jump over it.
    pub(super) fn first_instant(self, date: NaiveDate) -> Timestamp {
        let midnight = midnight(date).as_millis();
        // No zone is a day from UTC, and none has ever changed its offset twice in two days.
        let (old, new) = (midnight.saturating_sub(DAY), midnight.saturating_add(DAY));
        let [ahead_before, ahead_after] =
            [old, new].map(|at| self.offset(Timestamp::from_millis(at)));
        let before = midnight.saturating_sub(ahead_before);
        if ahead_before == ahead_after {
            return Timestamp::from_millis(before);
        }
        let change = self.change(old, new);
        let after = midnight.saturating_sub(ahead_after);
        Timestamp::from_millis(if before < change { before } else { after.max(change) })
    }

    /// The hour that clocks show at `at`. One in which they are set by a part of an hour begins or
    /// ends with that.
    pub(super) fn hour(self, at: Timestamp) -> Span {
        let offset = self.offset(at);
        let hour = Span::on_grid(at, HOUR, offset.saturating_neg());
        let is_set = |other| {
            let by = self.offset(other).saturating_sub(offset);
            by.checked_rem(HOUR) != Some(0)
        };
        let [start, at, end] = [hour.start, at, hour.end].map(Timestamp::as_millis);
        let last = Timestamp::from_millis(end.saturating_sub(1));
        let start = if is_set(hour.start) { self.change(start, at) } else { start };
        let end = if is_set(last) { self.change(at, last.as_millis()) } else { end };
        Span { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end) }
    }

    /// The first instant at the offset of `new`, after one at that of `old`, in milliseconds.
    fn change(self, mut old: i64, mut new: i64) -> i64 {
        let offset = |at| self.offset(Timestamp::from_millis(at));
        let ahead_before = offset(old);
        while new.saturating_sub(old) > 1 {
            let middle = old.saturating_add(new) >> 1;
            if offset(middle) == ahead_before {
                old = middle;
            } else {
                new = middle;
            }
        }
        new
    }
}

/// Midnight in UTC.
pub(super) fn midnight(date: NaiveDate) -> Timestamp {
    Timestamp::from(date.and_time(NaiveTime::MIN).and_utc())
}

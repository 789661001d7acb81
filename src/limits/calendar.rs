//! Where calendar windows lie: in which zone, and on which days weeks, months and years begin.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc, Weekday};

use super::recent;
use super::window::{Span, Window};
use super::zone::{Zone, midnight};
use crate::clock::Timestamp;

/// What is special about a calendar. What is not said is as ISO 8601 has it in UTC: weeks begin on
/// Mondays, months on their 1st.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(super) zone: Option<Zone>,
    pub(super) week_start: Option<Weekday>,
    /// The day on which months begin: their last one, where they are too short.
    pub(super) month_start: Option<u8>,
}

/// A window, and when the one after it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) window: Span,
    pub(crate) next_end: Timestamp,
}

impl Placed {
    /// The window that counts at `now` after this last one, which goes on to its end. A window that has
    /// begun by then, for it is of another calendar, is joined with the one after it: counted by
    /// itself, what is left of it would be a count too many.
    pub(crate) fn after(self, last: Span, now: Timestamp) -> Span {
        if now < last.end {
            last
        } else if self.window.start < last.end {
            Span { start: last.end, end: self.next_end }
        } else {
            self.window
        }
    }
}

impl Calendar {
    /// This calendar, with what it does not say taken from `other`.
    #[inline]
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            zone: self.zone.or(other.zone),
            week_start: self.week_start.or(other.week_start),
            month_start: self.month_start.or(other.month_start),
        }
    }

    /// The window that holds `at`.
    #[inline]
    pub(super) fn around(self, window: Window, at: Timestamp) -> Span {
        // To reckon the months and years of UTC takes longer than to look them up, too.
        let is_reckoned = !matches!(window, Window::Month | Window::Year);
        if self == Self::default() && is_reckoned {
            return window.around(at);
        }
        self.placed(window, at).window
    }

    /// The window that holds `at`, and when the next one ends.
    #[inline]
    pub(super) fn placed(self, window: Window, at: Timestamp) -> Placed {
        let Some(key) = self.key(window) else {
            let found = window.around(at);
            return Placed { window: found, next_end: window.around(found.end).end };
        };
        recent::placed(key, at, || {
            let found = self.find(window, at);
            Placed { window: found, next_end: self.find(window, found.end).end }
        })
    }

    /// A number that windows have in common exactly if they lie in the same places; none for those
    /// that no calendar moves.
    fn key(self, window: Window) -> Option<u32> {
        let (kind, anchor) = match window {
            Window::Hour => (1, 0),
            Window::Day => (2, 0),
            Window::Week => (3, self.week_start().num_days_from_monday()),
            Window::Month => (4, self.month_start()),
            Window::Year => (5, self.month_start()),
            _ => return None,
        };
        let zone = self.zone.map_or(0, Zone::number);
        Some((zone << 8) | (anchor << 3) | kind)
    }

    fn find(self, window: Window, at: Timestamp) -> Span {
        match (window, self.zone) {
            (Window::Hour, Some(zone)) => zone.hour(at),
            (Window::Hour, None) => window.around(at),
            _ => self.dates(window, at),
        }
    }

    /// The window from one date to another.
    fn dates(self, window: Window, at: Timestamp) -> Span {
        let date = match self.zone {
            Some(zone) => zone.date(at),
            None => DateTime::<Utc>::from(at).date_naive(),
        };
        let mut first = self.first_date(window, date);
        loop {
            let next = first.and_then(|first| self.next_date(window, first));
            // A date beyond chrono's calendar reads as forever.
            let span = Span {
                start: first.map_or(Timestamp::MIN, |first| self.first_instant(first)),
                end: next.map_or(Timestamp::MAX, |next| self.first_instant(next)),
            };
            // It is over where clocks were set back over its end, or skipped all of it.
            if at < span.end || next.is_none() {
                return span;
            }
            first = next;
        }
    }

    fn first_instant(self, date: NaiveDate) -> Timestamp {
        match self.zone {
            Some(zone) => zone.first_instant(date),
            None => midnight(date),
        }
    }

    /// The date on which the window that holds `date` begins.
    fn first_date(self, window: Window, date: NaiveDate) -> Option<NaiveDate> {
        match window {
            Window::Week => {
                let days = date.weekday().days_since(self.week_start());
                date.checked_sub_days(Days::new(days.into()))
            }
            Window::Month => {
                let this = self.month_of(date)?;
                let last = || self.month_of(date.checked_sub_months(Months::new(1))?);
                if this <= date { Some(this) } else { last() }
            }
            Window::Year => {
                let this = self.year(date.year())?;
                if this <= date { Some(this) } else { self.year(date.year().checked_sub(1)?) }
            }
            _ => Some(date),
        }
    }

    /// The date on which the window after the one that begins on `first` does.
    fn next_date(self, window: Window, first: NaiveDate) -> Option<NaiveDate> {
        match window {
            Window::Week => first.checked_add_days(Days::new(7)),
            Window::Month => self.month_of(first.checked_add_months(Months::new(1))?),
            Window::Year => self.year(first.year().checked_add(1)?),
            _ => first.succ_opt(),
        }
    }

    /// When the month begins that does so in the same month of the calendar as `date` lies in.
    fn month_of(self, date: NaiveDate) -> Option<NaiveDate> {
        // January has every day, and adding months to it cuts what they have not.
        self.year(date.year())?.checked_add_months(Months::new(date.month0()))
    }

    fn year(self, year: i32) -> Option<NaiveDate> {
        NaiveDate::from_ymd_opt(year, 1, self.month_start())
    }

    fn week_start(self) -> Weekday {
        self.week_start.unwrap_or(Weekday::Mon)
    }

    fn month_start(self) -> u32 {
        self.month_start.unwrap_or(1).into()
    }
}

/// Whether months can begin on this day.
pub(super) fn is_month_start(day: u8) -> bool {
    (1..=31).contains(&day)
}

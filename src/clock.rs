//! Time is an argument. This file alone reads a clock; everything else is told the time.

use std::fmt;
#[cfg(feature = "test-util")]
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

const MILLIS_PER_SECOND: u64 = 1_000;

/// An instant in UTC, in whole milliseconds since the Unix epoch.
///
/// It is what the crate counts in, because windows are found by integer arithmetic on it. It
/// converts from and to [`chrono::DateTime`], and stays within that type's range.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use tower_quota::Timestamp;
///
/// let midnight: DateTime<Utc> = "2026-11-24T00:00:00Z".parse().unwrap();
/// assert_eq!(DateTime::from(Timestamp::from(midnight)), midnight);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant, some 262,000 years ago: the start of a lifetime window.
    pub const MIN: Self = Self(DateTime::<Utc>::MIN_UTC.timestamp_millis());
    /// The latest instant, some 262,000 years ahead: the end of a lifetime window, never reached.
    pub const MAX: Self = Self(DateTime::<Utc>::MAX_UTC.timestamp_millis());

    /// The instant `millis` milliseconds after the Unix epoch, or the nearest one in range.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the Unix epoch, negative before it.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant moved `duration` into the future, at most to [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let millis = seconds.saturating_mul(1_000).saturating_add(duration.subsec_millis().into());
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Whole seconds from this instant until `later`, rounded up; 0 if it has passed.
    ///
    /// Rounded up, so that a client that waits this long never comes back early.
    #[must_use]
    pub fn seconds_until(self, later: Self) -> u64 {
        let millis = later.0.saturating_sub(self.0).max(0).unsigned_abs();
        millis.div_ceil(MILLIS_PER_SECOND)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(datetime: DateTime<Utc>) -> Self {
        Self(datetime.timestamp_millis())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(timestamp: Timestamp) -> Self {
        DateTime::from_timestamp_millis(timestamp.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&DateTime::<Utc>::from(*self), f)
    }
}

/// Tells the time to an engine: the system's, or a test's.
///
/// It is read once a request. A clock that steps back is safe: a count that is still remembered
/// goes on, and one that is not is an error rather than a fresh count.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The system's clock, the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        // A clock set before 1970 reads as 1970.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(0).saturating_add(since_epoch)
    }
}

/// A clock that stands still until it is told to move. Clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use chrono::{DateTime, Utc};
/// use tower_quota::{Clock, ManualClock, Timestamp};
///
/// let midnight: DateTime<Utc> = "2026-11-25T00:00:00Z".parse().unwrap();
/// let clock = ManualClock::at(midnight - Duration::from_secs(1));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), Timestamp::from(midnight));
/// ```
#[cfg(feature = "test-util")]
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

#[cfg(feature = "test-util")]
impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(AtomicI64::new(now.timestamp_millis())))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by).into());
    }

    /// Moves the clock to `now`, forward or back.
    pub fn set(&self, now: DateTime<Utc>) {
        self.0.store(now.timestamp_millis(), Ordering::SeqCst);
    }
}

#[cfg(feature = "test-util")]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

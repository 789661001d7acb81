//! What books outside of this process are asked, and what they say.

use std::sync::Arc;
use std::time::Duration;

use super::hold::HoldId;
use super::request::Change;
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;
use crate::limits::{LimitKey, Measure, ProfileId, Span};

/// The most that can be counted outside of this process: exact where numbers are 64-bit floats.
/// What is used stops there; more than that is not held.
pub const MAX_COUNT: u64 = 9_000_000_000_000_000;

/// One count in books outside of this process: whose it is, of which limit, in which window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteCounter {
    /// Whose count it is.
    pub scope: ProfileId,
    /// The tenant of the profile whose count it is, if it has one: for books that keep what belongs
    /// to a tenant together. It does not tell a count from others.
    pub tenant: Option<ProfileId>,
    /// Of which limit.
    pub limit: Arc<LimitKey>,
    /// In which window. Its start tells it from the same limit's other windows.
    pub window: Span,
}

impl RemoteCounter {
    /// How long the counter is needed, if it has no holds: until this instant, and for
    /// [`keep`](Lease::keep) after that. Where only what is in flight is counted, it is not.
    #[must_use]
    pub fn needed_until(&self) -> Timestamp {
        match self.limit.measure() {
            Measure::InFlight => Timestamp::MIN,
            Measure::Units | Measure::Requests => self.window.end,
        }
    }

    /// Until when its window has to be known, where windows [follow the profile's
    /// calendar](LimitKey::longest_window).
    #[must_use]
    pub fn known_until(&self) -> Timestamp {
        self.window.end.saturating_add(self.limit.longest_window().unwrap_or_default())
    }

    /// A key for all windows of the counter, that no other has in any.
    #[must_use]
    pub fn key_of_all_windows(&self) -> Vec<u8> {
        let (scope, limit) = (self.scope.as_bytes(), self.limit.as_str().as_bytes());
        // An id has at most 256 bytes.
        let length = u16::try_from(scope.len()).unwrap_or(u16::MAX).to_be_bytes();
        [length.as_slice(), scope, limit].concat()
    }

    /// A key that no other counter has, whatever bytes the scope's id is made of. Keys of one scope
    /// have a common prefix.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let start = self.window.start.as_millis().to_be_bytes();
        [self.key_of_all_windows().as_slice(), start.as_slice()].concat()
    }
}

/// What becomes of the units of a hold whose lease has ended because its process died. Only a
/// presumption: a settlement that comes later all the same corrects it, once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lapse {
    /// They come back. A later commit is charged all the same, even above the amount.
    #[default]
    GiveBack,
    /// They are charged. A later settlement corrects what was charged to what was spent.
    Charge,
}

/// How long holds live in books outside of this process, by the books' own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// How long a hold lives without being renewed.
    pub length: Duration,
    /// How long its record is kept after that, for a late settlement; and how long a counter is
    /// kept after its window.
    pub keep: Duration,
}

impl Default for Lease {
    /// 60 seconds, and 15 minutes.
    fn default() -> Self {
        Self { length: Duration::from_secs(60), keep: Duration::from_secs(15 * 60) }
    }
}

/// A counter to hold units of.
#[derive(Clone, Debug)]
pub struct RemoteCharge {
    /// The counter.
    pub counter: RemoteCounter,
    /// The most that `used + held` may come to; none where everything is admitted that can be
    /// counted.
    pub ceiling: Option<u64>,
    /// The most that may be refunded in the window; none where there is no cap. It is not for the
    /// books to see to: refunds are held of counters of their own before a hold is settled.
    pub refunds: Option<u64>,
}

impl RemoteCharge {
    /// Whether `units` may be held, by what has been counted.
    #[must_use]
    pub fn admits(&self, count: &Count, units: u64) -> bool {
        let units = self.units(units);
        let can_be_counted = count.held.checked_add(units).is_some_and(|held| held <= MAX_COUNT);
        can_be_counted && self.ceiling.is_none_or(|ceiling| count.admits(units, ceiling))
    }

    /// Whether `units` fit into a counter in which nothing has happened yet.
    pub(super) fn could_hold(&self, units: u64) -> bool {
        self.admits(&Count::unused(self.counter.window), units)
    }

    /// How many units have to come back before `units` more fit, by what has been counted.
    #[must_use]
    pub fn missing(&self, count: &Count, units: u64) -> u64 {
        self.ceiling.map_or(0, |ceiling| count.missing(self.units(units), ceiling))
    }

    /// What is held of the counter, by a hold of `units`.
    #[must_use]
    pub fn units(&self, units: u64) -> u64 {
        self.counter.limit.measure().held(units)
    }

    /// What is spent of the counter, where `spent` is of the hold.
    #[must_use]
    pub fn spent(&self, spent: Spent) -> Spent {
        spent.counted(self.counter.limit.measure())
    }

    /// What becomes of it when the hold's lease ends: what is in flight always comes back.
    #[must_use]
    pub fn lapse(&self, lapse: Lapse) -> Lapse {
        match self.counter.limit.measure() {
            Measure::InFlight => Lapse::GiveBack,
            Measure::Units | Measure::Requests => lapse,
        }
    }
}

/// A request to hold units of several counters: all of them, or none.
#[derive(Clone, Debug)]
pub struct RemoteReserve {
    /// The name of the hold. The same name again gives the same grant.
    pub id: HoldId,
    /// The counters, each once.
    pub charges: Arc<[RemoteCharge]>,
    /// How many units, from 1 to [`MAX_UNITS`](crate::MAX_UNITS). What is held of each counter is as
    /// its limit [measures](LimitKey::measure) them: [`RemoteCharge::units`].
    pub units: u64,
    /// What becomes of it when its lease ends.
    pub lapse: Lapse,
    /// The latest instant of the books' clock at which this may be executed. Later it writes
    /// nothing: whoever sent it has given up, and has its release on the way.
    pub not_after: Timestamp,
    /// How far ahead of the books' clock `not_after` can be at most. Further ahead, the sender is
    /// wrong about that clock, and nothing is written either.
    pub patience: Duration,
}

/// What books say to a [`RemoteReserve`].
#[derive(Debug)]
pub struct RemoteVerdict {
    /// The outcome.
    pub held: Held,
    /// The books' clock when it was executed.
    pub now: Timestamp,
}

/// Whether units were held.
#[derive(Debug, PartialEq, Eq)]
pub enum Held {
    /// They are. The counts, one for each charge in their order, include them.
    Granted(Counts),
    /// Some counter had no room. Nothing was written.
    Denied(Counts),
    /// It came after [`not_after`](RemoteReserve::not_after), or far too long before. Nothing was
    /// written.
    Stale,
}

/// The end of a hold.
#[derive(Clone, Debug)]
pub struct RemoteSettlement {
    /// The hold.
    pub id: HoldId,
    /// The counters that it was held of.
    pub counters: Arc<[RemoteCharge]>,
    /// What was spent of it: a [refund](Spent::Refund) is decided before.
    pub spent: Spent,
    /// Where it is not known whether the hold was made: the instant after which it cannot be made
    /// any more. Earlier, nothing may be settled, or the hold could be made afterwards.
    pub after: Option<Timestamp>,
}

/// A hold whose request lives on.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The hold.
    pub id: HoldId,
    /// The counters that it was held of.
    pub counters: Arc<[RemoteCharge]>,
}

/// A change of what is used, which may be sent twice.
#[derive(Clone, Debug)]
pub struct RemoteChange {
    /// Who changes: a number drawn at random for a line of changes, each of which is sent when the
    /// one before it is known to be done or given up.
    pub nonce: u64,
    /// The number of the change in its line, counted up from 1. A counter that has seen this number
    /// from this nonce, or a higher one, is not changed.
    pub sequence: u64,
    /// The counters to change, all of them or none: none of those that count only what is in flight.
    pub counters: Vec<RemoteCounter>,
    /// The change.
    pub change: Change,
}

impl RemoteChange {
    /// How long books remember at least what a line of changes has seen, after its last change: an
    /// outage is to be over by then. A day.
    pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
}

/// A window that begins, of a limit whose windows [follow the profile's
/// calendar](LimitKey::longest_window).
#[derive(Clone, Debug)]
pub struct RemoteOpening {
    /// The counter, in the window that begins.
    pub counter: RemoteCounter,
    /// The end of the last window, as far as it is known. If there is one that ends later, it is that
    /// one that counts.
    pub after: Timestamp,
}

impl RemoteOpening {
    /// Fails if the window starts more than [`keep`](Lease::keep) after the present of the books' clock.
    /// Once it is the last one it stays that, and whoever goes by the right time would have to wait
    /// for it to end.
    pub fn check_clock(&self, now: Timestamp, lease: Lease) -> Result<(), StoreError> {
        let start = self.counter.window.start;
        if start > now.saturating_add(lease.keep) {
            return Err(StoreError::clock_ahead(start));
        }
        Ok(())
    }
}

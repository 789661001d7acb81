//! What a store is asked, and what it says.

use std::sync::Arc;

use super::hold::{Hold, HoldId};
use crate::clock::Timestamp;
use crate::count::{Count, Counts};
use crate::error::Error;
use crate::limits::{KeyedLimit, LimitKey, Measure, Placed, Profile, ProfileId, Scope, Span};

/// One count: whose it is, of which limit, in which window.
#[derive(Clone, Copy, Debug)]
pub struct Counter<'a> {
    /// The id of whose count it is: of a profile, a tenant or everyone, as the limit's
    /// [scope](LimitKey::scope) says.
    pub scope: &'a ProfileId,
    /// The tenant of the profile whose count it is, if it has one: for books that keep what belongs
    /// to a tenant together. It does not tell a count from others.
    pub tenant: Option<&'a ProfileId>,
    /// The limit.
    pub limit: &'a Arc<LimitKey>,
    /// The window, around the time of the call.
    pub window: Span,
    /// When the window after it ends, where the limit [follows the profile's
    /// calendar](LimitKey::longest_window).
    pub next_end: Timestamp,
}

impl<'a> Counter<'a> {
    /// The count of a limit for `profile`.
    pub(crate) fn at(
        profile: &'a Profile,
        keyed: &'a KeyedLimit,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let Some(scope) = profile.scope_id(keyed.limit.scoped()) else {
            return Err(Error::NoTenant(keyed.limit.name().to_owned()));
        };
        let tenant = profile.tenant_id().filter(|_| keyed.limit.scoped() == Scope::Profile);
        let Placed { window, next_end } = profile.window(keyed, now);
        Ok(Self { scope, tenant, limit: &keyed.key, window, next_end })
    }

    /// The window that counts at `now`, where the limit [follows the profile's
    /// calendar](LimitKey::longest_window) and its last window is known: that one, up to its end. A
    /// window of another calendar that has begun by then is joined with the one after it.
    #[must_use]
    pub fn window_after(&self, last: Span, now: Timestamp) -> Span {
        self.placed().after(last, now)
    }

    pub(crate) fn placed(&self) -> Placed {
        Placed { window: self.window, next_end: self.next_end }
    }
}

/// A counter to hold units of.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// The counter.
    pub counter: Counter<'a>,
    /// The most that `used + held` may come to; none where everything is admitted that can be
    /// counted.
    pub ceiling: Option<u64>,
    /// The most that may be refunded in the window for a refund of this hold to be made, itself
    /// included; none where there is no cap, and then a refund of it does not count in this counter. See
    /// [`Spent::Refund`](crate::Spent::Refund).
    pub refunds: Option<u64>,
}

impl Charge<'_> {
    /// How many units have to come back before `units` more fit, by what has been counted.
    #[must_use]
    pub fn missing(&self, count: &Count, units: u64) -> u64 {
        let units = self.counter.limit.measure().held(units);
        self.ceiling.map_or(0, |ceiling| count.missing(units, ceiling))
    }

    /// Whether a hold of `units` fits, as the limit [measures](LimitKey::measure) it, by what has been counted. What cannot be counted may not, even
    /// without a ceiling: holds that saturate could not be told apart when they are settled.
    #[must_use]
    pub fn admits(&self, count: &Count, units: u64) -> bool {
        let units = self.counter.limit.measure().held(units);
        match self.ceiling {
            Some(ceiling) => count.admits(units, ceiling),
            None => count.held.checked_add(units).is_some(),
        }
    }
}

/// A request to hold units of several counters: all of them, or none.
#[derive(Clone, Copy, Debug)]
pub struct Reserve<'a> {
    /// The name of the hold.
    pub id: HoldId,
    /// The counters, each once.
    pub charges: &'a [Charge<'a>],
    /// How many units, at least 1. What is held of each counter is as its limit
    /// [measures](LimitKey::measure) them.
    pub units: u64,
    /// The time of the request.
    pub now: Timestamp,
}

/// What a store says to a [`Reserve`].
#[derive(Debug)]
pub enum Verdict {
    /// The units are held. The counts include them.
    Granted(Hold, Counts),
    /// Some counter had no room. Nothing was written.
    Denied(Counts),
}

/// A change to counts that asks nobody's permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds to what is used, also above the limit.
    Debit(u64),
    /// Takes from what is used, down to 0.
    Credit(u64),
    /// Sets what is used to 0. What is held stays held.
    Reset,
}

impl Change {
    /// The same change, as a limit counts it: one that counts requests takes it for one.
    pub(crate) fn counted(self, measure: Measure) -> Self {
        match self {
            Self::Debit(units) => Self::Debit(measure.held(units)),
            Self::Credit(units) => Self::Credit(measure.held(units)),
            Self::Reset => Self::Reset,
        }
    }

    /// What is used after the change.
    #[must_use]
    pub fn applied_to(self, used: u64) -> u64 {
        match self {
            Self::Debit(units) => used.saturating_add(units),
            Self::Credit(units) => used.saturating_sub(units),
            Self::Reset => 0,
        }
    }
}

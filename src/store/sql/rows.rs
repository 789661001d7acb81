//! What the rows of a counter and of a hold say, and what becomes of them. No SQL, no clock.

use crate::clock::Timestamp;
use crate::count::{Count, Spent};
use crate::limits::Span;
use crate::store::books::{Lapse, MAX_COUNT};

const MAX: i64 = i64::from_ne_bytes(MAX_COUNT.to_ne_bytes());

/// A hold, of one of its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HoldRow {
    pub(crate) units: i64,
    pub(crate) lapse: Lapse,
    /// When its lease ends.
    pub(crate) deadline: Timestamp,
    /// Whether the counter's row says already that the lease has ended.
    pub(crate) marked: bool,
}

impl HoldRow {
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        !self.marked && now < self.deadline
    }
}

/// The units of holds whose lease has ended without being marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// They come back.
    pub(crate) back: i64,
    /// They are charged.
    pub(crate) charged: i64,
}

/// A counter's row, and what is to be known of its holds to read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CounterRow {
    /// Without what is due to be charged: it may be negative until that is added.
    pub(crate) used: i64,
    /// The units of all unmarked holds, with those that are due.
    pub(crate) held: i64,
    /// No unmarked hold's lease ends earlier.
    pub(crate) lapse_at: Option<Timestamp>,
    pub(crate) due: Due,
}

impl CounterRow {
    /// Whether the lease of an unmarked hold may have ended.
    pub(crate) fn may_be_due(&self, now: Timestamp) -> bool {
        self.lapse_at.is_some_and(|lapse_at| lapse_at <= now)
    }

    /// What is used, with what is due.
    fn used_with_due(&self) -> i64 {
        self.used.saturating_add(self.due.charged).clamp(0, MAX)
    }

    pub(crate) fn count(&self, window: Span) -> Count {
        let due = self.due.back.saturating_add(self.due.charged);
        let held = self.held.saturating_sub(due).max(0);
        Count { used: self.used_with_due().unsigned_abs(), held: held.unsigned_abs(), window }
    }

    /// Sets what is used, with what is due.
    pub(crate) fn set_used(&mut self, used: u64) {
        self.used = to_count(used).saturating_sub(self.due.charged);
    }

    pub(crate) fn hold(&mut self, hold: &HoldRow) {
        self.held = self.held.saturating_add(hold.units);
        self.lapse_at = Some(self.lapse_at.map_or(hold.deadline, |at| at.min(hold.deadline)));
    }

    /// Says that the lease of an unmarked hold has ended.
    pub(crate) fn mark(&mut self, hold: &HoldRow) {
        self.release(hold);
        if hold.lapse == Lapse::Charge {
            self.used = self.used.saturating_add(hold.units).min(MAX);
        }
    }

    /// Ends a hold, by the table in the contract of [`RemoteBooks`](crate::store::RemoteBooks).
    pub(crate) fn settle(&mut self, hold: &HoldRow, spent: Spent, now: Timestamp) {
        if hold.is_live(now) {
            self.release(hold);
        } else if !hold.marked {
            self.take_from_due(hold);
            self.mark(hold);
        }
        let charged = match hold.lapse {
            Lapse::Charge if !hold.is_live(now) => hold.units,
            _ => 0,
        };
        let spent = to_i64(spent.units(hold.units.unsigned_abs()));
        let used = self.used_with_due().saturating_add(spent).saturating_sub(charged);
        self.set_used(used.max(0).unsigned_abs());
    }

    fn release(&mut self, hold: &HoldRow) {
        self.held = self.held.saturating_sub(hold.units);
        if self.held <= 0 {
            self.lapse_at = None;
        }
    }

    fn take_from_due(&mut self, hold: &HoldRow) {
        let due = match hold.lapse {
            Lapse::GiveBack => &mut self.due.back,
            Lapse::Charge => &mut self.due.charged,
        };
        *due = due.saturating_sub(hold.units).max(0);
    }
}

/// A number that databases can store, all bits of it kept.
pub(crate) fn to_bits(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

/// The number that was stored by [`to_bits`].
pub(crate) fn from_bits(bits: i64) -> u64 {
    u64::from_ne_bytes(bits.to_ne_bytes())
}

/// As many units as can be counted, at most.
pub(crate) fn to_count(units: u64) -> i64 {
    to_i64(units.min(MAX_COUNT))
}

fn to_i64(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

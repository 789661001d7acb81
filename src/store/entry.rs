//! What a ledger has: counters, and holds of them.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::hold::HoldId;
use crate::clock::Timestamp;
use crate::count::{Count, Spent};
use crate::limits::{Buckets, LimitKey, ProfileId};

/// How long a closed window is remembered: for a request that read the clock just before the end,
/// and for a clock that is set back a little.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A counter.
pub(super) struct CounterEntry {
    pub(super) scope: ProfileId,
    pub(super) limit: Arc<LimitKey>,
    pub(super) count: Count,
    /// What is used, where the window rolls: `count` has the sum.
    pub(super) buckets: Option<Box<Buckets>>,
    /// Holds that refer to this slot, counted apart: a hold may be of no units.
    pub(super) holds: u32,
}

/// A hold, of counters of one ledger.
pub(super) struct HoldEntry {
    pub(super) id: HoldId,
    pub(super) units: u64,
    /// From when on it counts where a window rolls.
    pub(super) at: Timestamp,
    /// A counter keeps its slot while a hold refers to it.
    pub(super) slots: SmallVec<[usize; 2]>,
}

impl CounterEntry {
    /// Lets go what does not count any more, where the window rolls.
    pub(super) fn roll(&mut self, now: Timestamp) {
        if let Some(buckets) = &mut self.buckets {
            buckets.advance(now);
            self.count.used = buckets.sum();
            self.look_ahead();
        }
    }

    /// The window of one that rolls ends when the first unit comes back.
    pub(super) fn look_ahead(&mut self) {
        if let Some(buckets) = &self.buckets {
            self.count.window.end = buckets.come_back_at(1, self.count.held);
        }
    }

    pub(super) fn settle(&mut self, hold: &HoldEntry, spent: Spent) {
        let used = self.count.used;
        self.count.settle(self.limit.measure(), hold.units, spent);
        if let Some(buckets) = &mut self.buckets {
            buckets.add(hold.at, self.count.used.saturating_sub(used));
            self.count.used = buckets.sum();
        }
    }

    pub(super) fn set_used(&mut self, used: u64, now: Timestamp) {
        if let Some(buckets) = &mut self.buckets {
            buckets.add(buckets.counts_from(now), used.saturating_sub(self.count.used));
            buckets.take(self.count.used.saturating_sub(used));
        }
        self.count.used = used;
    }

    /// Whether no hold refers to it, and nothing is used that still counts.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let closed = self.count.window.end.saturating_add(REMEMBERED) <= now;
        self.holds == 0 && (closed || self.count.used == 0)
    }

    pub(super) fn hash(&self, hasher: &RandomState) -> u64 {
        let scope = hasher.hash_one(&self.scope);
        counter_hash(hasher, scope, &self.limit, self.count.window.start)
    }
}

#[inline]
pub(super) fn counter_hash(
    hasher: &RandomState,
    scope: u64,
    limit: &LimitKey,
    start: Timestamp,
) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u64(scope);
    limit.hash(&mut state);
    start.hash(&mut state);
    state.finish()
}

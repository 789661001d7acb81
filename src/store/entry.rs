//! What a ledger has: counters, and holds of them.

use std::hash::{BuildHasher, Hash, Hasher};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::hold::HoldId;
use super::request::Reserve;
use crate::clock::Timestamp;
use crate::count::{Count, Spent};
use crate::limits::{Buckets, LimitKey, ProfileId, Refunds, Span};

/// How long a closed window is remembered: for a request that read the clock just before the end,
/// and for a clock that is set back a little.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A counter.
pub(super) struct CounterEntry {
    pub(super) scope: ProfileId,
    pub(super) limit: Arc<LimitKey>,
    pub(super) count: Count,
    /// What few counters have.
    extra: Option<Box<Extra>>,
    /// Holds that refer to this slot, counted apart: a hold may be of no units.
    pub(super) holds: u32,
    /// Whether it follows a window in which something was used: without it, a window of another
    /// calendar could be counted that had begun before.
    pub(super) follows: bool,
}

/// Boxed apart, so that a counter pays for what it has.
#[derive(Default)]
struct Extra {
    /// What is used, where the window rolls: the count has the sum.
    buckets: Option<Box<Buckets>>,
    /// Where something was refunded under a cap.
    refunds: Option<Box<Refunds>>,
}

/// A hold. It is entered in one ledger, whatever counters it is of.
pub(super) struct HoldEntry {
    pub(super) id: HoldId,
    pub(super) units: u64,
    /// From when on it counts where a window rolls.
    pub(super) at: Timestamp,
    /// A counter keeps its slot while a hold refers to it.
    pub(super) counters: SmallVec<[Address; 3]>,
}

/// Where a counter is in all of the books: its slot, and in the lowest byte its stripe.
#[derive(Clone, Copy)]
pub(super) struct Address(usize);

impl Address {
    pub(super) fn new(stripe: u8, slot: usize) -> Self {
        Self(slot << u8::BITS | usize::from(stripe))
    }

    #[inline]
    pub(super) fn stripe(self) -> u8 {
        let [stripe, ..] = self.0.to_le_bytes();
        stripe
    }

    #[inline]
    pub(super) fn slot(self) -> usize {
        self.0 >> u8::BITS
    }
}

impl HoldEntry {
    /// A hold that nothing was taken for yet.
    pub(super) fn new(request: &Reserve<'_>) -> Self {
        let counters = SmallVec::new();
        Self { id: request.id, units: request.units, at: request.now, counters }
    }
}

impl CounterEntry {
    /// A counter in which nothing has happened yet.
    pub(super) fn new(
        scope: ProfileId,
        limit: Arc<LimitKey>,
        window: Span,
        now: Timestamp,
    ) -> Self {
        let extra = limit.rolling().map(|rolling| {
            let buckets = Some(Box::new(Buckets::new(rolling, now)));
            Box::new(Extra { buckets, ..Extra::default() })
        });
        Self { scope, limit, count: Count::unused(window), extra, holds: 0, follows: false }
    }

    /// What is used, where the window rolls.
    pub(super) fn buckets(&self) -> Option<&Buckets> {
        self.extra.as_ref()?.buckets.as_deref()
    }

    fn buckets_mut(&mut self) -> Option<&mut Buckets> {
        self.extra.as_mut()?.buckets.as_deref_mut()
    }

    fn refunds(&self) -> Option<&Refunds> {
        self.extra.as_ref()?.refunds.as_deref()
    }

    fn refunds_mut(&mut self) -> Option<&mut Refunds> {
        self.extra.as_mut()?.refunds.as_deref_mut()
    }

    /// Whether a refund of a hold of so many units has room under `cap`.
    pub(super) fn admits_refund(&self, units: u64, cap: u64) -> bool {
        let units = self.limit.measure().held(units);
        self.refunds().map_or(units <= cap, |refunds| refunds.admits(units, cap))
    }

    /// Counts a refund of a hold.
    pub(super) fn add_refund(&mut self, hold: &HoldEntry) {
        let (units, rolling) = (self.limit.measure().held(hold.units), self.limit.rolling());
        let at = self.buckets().map_or(hold.at, |buckets| buckets.counts_from(hold.at));
        let refunds = &mut self.extra.get_or_insert_default().refunds;
        let refunds = refunds.get_or_insert_with(|| Box::new(Refunds::new(rolling, at)));
        refunds.add(at, units);
    }

    /// Lets go what does not count any more, where the window rolls.
    pub(super) fn roll(&mut self, now: Timestamp) {
        if let Some(buckets) = self.buckets_mut() {
            buckets.advance(now);
            self.count.used = buckets.sum();
            self.look_ahead();
        }
        if let Some(refunds) = self.refunds_mut() {
            refunds.advance(now);
        }
    }

    /// The window of one that rolls ends when the first unit comes back.
    pub(super) fn look_ahead(&mut self) {
        if let Some(end) = self.buckets().map(|it| it.come_back_at(1, self.count.held)) {
            self.count.window.end = end;
        }
    }

    /// Settles a hold. A refund is made: that its caps [admit](Self::admits_refund) it is known.
    pub(super) fn settle(&mut self, hold: &HoldEntry, spent: Spent) {
        let (measure, used) = (self.limit.measure(), self.count.used);
        self.count.settle(measure, hold.units, spent.decided(true));
        let more = self.count.used.saturating_sub(used);
        if let Some(buckets) = self.buckets_mut() {
            buckets.add(hold.at, more);
            self.count.used = buckets.sum();
        }
    }

    pub(super) fn set_used(&mut self, used: u64, now: Timestamp) {
        let before = mem::replace(&mut self.count.used, used);
        if let Some(buckets) = self.buckets_mut() {
            buckets.add(buckets.counts_from(now), used.saturating_sub(before));
            buckets.take(before.saturating_sub(used));
        }
    }

    /// Whether nothing is used or refunded that still counts.
    pub(super) fn is_empty(&self) -> bool {
        self.count.used == 0 && self.refunds().is_none_or(|refunds| refunds.refunded() == 0)
    }

    /// Whether no hold refers to it, and nobody will miss it.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let remembered = self.limit.longest_window().unwrap_or_default().max(REMEMBERED);
        let closed = self.count.window.end.saturating_add(remembered) <= now;
        self.holds == 0 && (closed || self.is_empty() && !self.follows)
    }

    /// Whether it is of a window that a clock has begun which was set back since, by more than a window.
    #[inline]
    pub(super) fn is_far_ahead(&self, now: Timestamp) -> bool {
        let longest = self.limit.longest_window();
        longest.is_some_and(|longest| now.saturating_add(longest) < self.count.window.start)
    }

    pub(super) fn mark(&self) -> Timestamp {
        mark(&self.limit, self.count.window)
    }

    pub(super) fn hash(&self, hasher: &RandomState) -> u64 {
        let scope = hasher.hash_one(&self.scope);
        counter_hash(hasher, scope, &self.limit, self.mark())
    }
}

/// What tells the windows of a counter apart: their starts. Where they follow the profile's calendar,
/// only the last one is looked for.
#[inline]
pub(super) fn mark(limit: &LimitKey, window: Span) -> Timestamp {
    if limit.longest_window().is_some() { Timestamp::MIN } else { window.start }
}

#[inline]
pub(super) fn counter_hash(
    hasher: &RandomState,
    scope: u64,
    limit: &LimitKey,
    mark: Timestamp,
) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u64(scope);
    limit.hash(&mut state);
    mark.hash(&mut state);
    state.finish()
}

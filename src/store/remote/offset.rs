//! What time it is on the books' clock, without asking for it.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Timestamp;

/// How far the books' clock is ahead of the engine's, in milliseconds, as their answers tell.
pub(super) struct Offset(AtomicI64);

const UNKNOWN: i64 = i64::MAX;

impl Offset {
    /// Not known yet.
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }

    /// The books' time when the engine's is `now`; the same until they have told. Where that is
    /// wrong, they will correct it.
    pub(super) fn estimate(&self, now: Timestamp) -> Timestamp {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => now,
            ahead => Timestamp::from_millis(now.as_millis().saturating_add(ahead)),
        }
    }

    /// The books said `theirs` to a request of `now`. How long that took makes them seem ahead, by
    /// no more than a time-out.
    pub(super) fn learn(&self, now: Timestamp, theirs: Timestamp) {
        let ahead = theirs.as_millis().saturating_sub(now.as_millis());
        self.0.store(ahead, Ordering::Relaxed);
    }
}

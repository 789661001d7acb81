//! What time it is on the books' clock, without asking for it.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Timestamp;

/// How far the books' clock is ahead of the engine's, in milliseconds, as their answers tell.
pub(super) struct Offset {
    ahead: AtomicI64,
    /// What their clock last said.
    heard: AtomicI64,
}

const UNKNOWN: i64 = i64::MAX;

impl Offset {
    /// Not known yet.
    pub(super) fn new() -> Self {
        Self { ahead: AtomicI64::new(UNKNOWN), heard: AtomicI64::new(0) }
    }

    /// The books' time when the engine's is `now`; the same until they have told. Where that is
    /// wrong, they will correct it.
    pub(super) fn estimate(&self, now: Timestamp) -> Timestamp {
        match self.ahead.load(Ordering::Relaxed) {
            UNKNOWN => now,
            ahead => Timestamp::from_millis(now.as_millis().saturating_add(ahead)),
        }
    }

    /// The books said `theirs` to a request of `now`. How long that took makes them seem ahead, by
    /// no more than two time-outs: of the request, and of a window that had to be opened before.
    pub(super) fn learn(&self, now: Timestamp, theirs: Timestamp) {
        let ahead = theirs.as_millis().saturating_sub(now.as_millis());
        self.ahead.store(ahead, Ordering::Relaxed);
        self.hear(theirs);
    }

    /// The books said this, to somebody who has no time of their own.
    pub(super) fn hear(&self, theirs: Timestamp) {
        self.heard.store(theirs.as_millis(), Ordering::Relaxed);
    }

    /// The books' time when they last said it, for work in the background that has no time of its own.
    pub(super) fn heard(&self) -> Timestamp {
        Timestamp::from_millis(self.heard.load(Ordering::Relaxed))
    }
}

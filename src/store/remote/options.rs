//! How books outside of this process are used.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::store::books::Lapse;

/// How [`Remote`](super::Remote) treats its books.
///
/// ```
/// use std::time::Duration;
/// use tower_quota::store::{Lapse, RemoteOptions};
///
/// let options = RemoteOptions::new()
///     .timeout(Duration::from_millis(250))
///     .lapse(Lapse::Charge)
///     .sweep_every(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing unless they are given to a store"]
pub struct RemoteOptions {
    pub(super) timeout: Duration,
    pub(super) lapse: Lapse,
    pub(super) queue: usize,
    pub(super) flush_within: Duration,
    pub(super) sweep_every: Option<Duration>,
    pub(super) share: Option<NonZeroU32>,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            lapse: Lapse::default(),
            queue: 100_000,
            flush_within: Duration::from_secs(5),
            sweep_every: None,
            share: None,
        }
    }
}

impl RemoteOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long each call to the books may take: 1 second if nothing else is said. Keep it well
    /// below a third of the lease, so that a renewal can be tried again.
    ///
    /// A reservation makes two calls if the books' clock is found to be elsewhere than expected, and
    /// a change takes up to three times as long: it waits for its turn, and is tried again.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What becomes of a hold whose process has died: [`Lapse::GiveBack`] if nothing else is said.
    pub fn lapse(mut self, lapse: Lapse) -> Self {
        self.lapse = lapse;
        self
    }

    /// How many settlements may wait to be written: 100,000 if nothing else is said, of a
    /// few hundred bytes each. One more is lost, that is: its hold lapses when its lease ends.
    pub fn queue(mut self, settlements: usize) -> Self {
        self.queue = settlements;
        self
    }

    /// How long a flush waits at most: 5 seconds if nothing else is said.
    pub fn flush_within(mut self, deadline: Duration) -> Self {
        self.flush_within = deadline;
        self
    }

    /// Sweeps in the background, once in a `period`, 1,000 records at a time until there is nothing
    /// left to sweep. If nothing is said, nobody sweeps but who calls
    /// [`sweep`](super::Remote::sweep).
    pub fn sweep_every(mut self, period: Duration) -> Self {
        self.sweep_every = Some(period);
        self
    }

    /// While the books are away, serves one of so many parts of each limit from this process: one of
    /// four, where four processes share the books. If nothing is said, a reservation fails then.
    ///
    /// A part is rounded down, and is one of the whole window: a second outage in the same window
    /// goes on with what the first one left. What was spent is charged to the books once they are
    /// back, once, unless this process dies before. So a limit can be exceeded by what had been used
    /// of it before the outage, and by no more than the sum of the parts.
    ///
    /// A [cap on refunds](crate::Limit::max_refunds) is cut in parts as the limit is.
    ///
    /// Where the part has no room the reservation fails, for the limit itself may have some. The
    /// counts of such a reservation are those of this process alone.
    pub fn local_share(mut self, parts: NonZeroU32) -> Self {
        self.share = Some(parts);
        self
    }
}

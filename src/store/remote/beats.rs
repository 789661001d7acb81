//! The pulse of the background: one timer for everything that takes its time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, interval};

/// How many beats a lease lasts.
const IN_A_LEASE: u32 = 12;

/// Shorter ones would keep a core busy; longer ones are of no use.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Counts beats, each a twelfth of the lease, so that nobody reads a clock.
#[derive(Debug)]
pub(super) struct Beats {
    length: Duration,
    count: watch::Sender<u64>,
}

impl Beats {
    pub(super) fn of(lease: Duration) -> Self {
        let length = lease.checked_div(IN_A_LEASE).unwrap_or(SHORTEST);
        Self { length: length.clamp(SHORTEST, LONGEST), count: watch::Sender::new(0) }
    }

    /// The timer, which needs a runtime.
    pub(super) fn timer(&self) -> Interval {
        interval(self.length)
    }

    /// Counts the ticks of the timer, as long as it is polled.
    pub(super) async fn count(&self, mut timer: Interval) {
        loop {
            timer.tick().await;
            self.count.send_modify(|count| *count = count.saturating_add(1));
        }
    }

    pub(super) fn now(&self) -> u64 {
        *self.count.borrow()
    }

    /// To wait for the next beat.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// How many whole beats fit into `time`, at least 1.
    pub(super) fn within(&self, time: Duration) -> u64 {
        let beats = time.as_millis().checked_div(self.length.as_millis()).unwrap_or(1);
        u64::try_from(beats).unwrap_or(u64::MAX).max(1)
    }
}

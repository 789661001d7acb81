//! Changes, of which each happens once although it may be sent twice.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::backoff::pause;
use super::breaker::means_away;
use super::link::{Link, within};
use crate::error::StoreError;
use crate::limits::ProfileId;
use crate::store::books::{RemoteBooks, RemoteChange, RemoteCounter};
use crate::store::hold::random;
use crate::store::request::Change;

/// How many lines of changes there are: as many changes can be under way at a time.
const LANES: usize = 64;

/// How often a change is sent, and how many time-outs it may take with the wait for its turn.
const ATTEMPTS: u32 = 3;

/// Lines of changes. Those of one profile are all in one line.
pub(super) struct Lanes {
    lanes: [Lane; LANES],
    hasher: RandomState,
}

struct Lane {
    nonce: u64,
    /// The number of the last change. Locked while one is under way.
    sequence: Mutex<u64>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        let lane = |_| Lane { nonce: random(), sequence: Mutex::new(0) };
        Self { lanes: std::array::from_fn(lane), hasher: RandomState::default() }
    }

    /// Makes a change, and says if it is not known to have happened.
    pub(super) async fn change<B: RemoteBooks>(
        &self,
        link: &Link<B>,
        counters: Vec<RemoteCounter>,
        change: Change,
    ) -> Result<(), StoreError> {
        // Before it waits for its turn behind others that wait for the books.
        link.breaker.check("change")?;
        let limit = link.timeout.saturating_mul(ATTEMPTS);
        // Not by what everybody shares: all would wait for each other.
        let own = counters.iter().min_by_key(|counter| counter.limit.scope());
        let lane = self.lane(own.map(|counter| &counter.scope));
        within("change", limit, lane.change(link, counters, change)).await
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of lanes")]
    fn lane(&self, scope: Option<&ProfileId>) -> &Lane {
        let [byte, ..] = self.hasher.hash_one(scope).to_le_bytes();
        &self.lanes[usize::from(byte) % LANES]
    }
}

impl Lane {
    async fn change<B: RemoteBooks>(
        &self,
        link: &Link<B>,
        counters: Vec<RemoteCounter>,
        change: Change,
    ) -> Result<(), StoreError> {
        let mut sequence = self.sequence.lock().await;
        // Counted before it is sent: a number that may have been seen is not used again.
        *sequence = sequence.saturating_add(1);
        let change = RemoteChange { nonce: self.nonce, sequence: *sequence, counters, change };
        for attempt in 1..ATTEMPTS {
            match link.change(&change).await {
                Err(error) if means_away(&error) && !link.breaker.is_open() => {
                    sleep(pause(attempt)).await;
                }
                answer => return answer,
            }
        }
        link.change(&change).await
    }
}

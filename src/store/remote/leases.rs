//! The holds that are open, and the renewal of their leases.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use slab::Slab;

use super::beats::Beats;
use super::link::Link;
use crate::store::books::{RemoteBooks, Renewal};

/// Threads seldom meet at one of so many locks.
const SHARDS: usize = 16;

/// How many leases are renewed in one call.
const BATCH: usize = 256;

/// How many of these calls are under way at a time.
const PIPELINE: usize = 4;

/// Every open hold whose grant is known. To come and to go costs no look-up.
pub(super) struct Leases {
    shards: [Mutex<Slab<Open>>; SHARDS],
    /// How many beats a new lease is left alone: a third of it. Tried again with each beat after
    /// that, a renewal has many chances before the lease ends.
    rest: u64,
}

struct Open {
    renewal: Renewal,
    /// The beat in which its lease is to be renewed.
    due: u64,
}

/// Where an open hold is registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    shard: usize,
    slot: usize,
}

/// Leases to renew in one call, and where their holds are registered.
#[derive(Default)]
struct Due {
    places: Vec<Place>,
    renewals: Vec<Renewal>,
}

impl Due {
    /// Both halves; nothing of one alone.
    fn split(&mut self) -> Vec<Self> {
        let half = self.places.len() / 2;
        if half == 0 {
            return Vec::new();
        }
        let rest =
            Self { places: self.places.split_off(half), renewals: self.renewals.split_off(half) };
        vec![mem::take(self), rest]
    }
}

impl Leases {
    pub(super) fn new(lease: Duration, beats: &Beats) -> Self {
        let third = lease.checked_div(3).unwrap_or_default();
        let shards = std::array::from_fn(|_| Mutex::new(Slab::new()));
        Self { shards, rest: beats.within(third) }
    }

    /// Registers a hold that was granted about `beat`.
    pub(super) fn open(&self, renewal: Renewal, beat: u64) -> Place {
        let [byte, ..] = renewal.id.sequence.to_le_bytes();
        let shard = usize::from(byte) % SHARDS;
        let slot = self.shard(shard).insert(Open { renewal, due: self.due_after(beat) });
        Place { shard, slot }
    }

    /// Forgets a hold that is settled.
    pub(super) fn close(&self, place: Place) {
        self.shard(place.shard).try_remove(place.slot);
    }

    /// Renews leases, as long as it is polled.
    pub(super) async fn renew<B: RemoteBooks>(&self, link: &Link<B>, beats: &Beats) {
        let mut beat = beats.listen();
        while beat.changed().await.is_ok() {
            let now = *beat.borrow_and_update();
            let renew = |due| self.renew_all(link, due, now);
            stream::iter(self.due(now)).for_each_concurrent(PIPELINE, renew).await;
        }
    }

    /// Renews leases together, and, where the books refuse to, in halves: if it is because of one of
    /// them, the others shall not share its fate.
    async fn renew_all<B: RemoteBooks>(&self, link: &Link<B>, due: Due, now: u64) {
        let mut parts = vec![due];
        while let Some(mut part) = parts.pop() {
            match link.renew(&part.renewals).await {
                Ok(()) => self.put_off(&part.places, now),
                Err(error) if !error.is_transient() => parts.extend(part.split()),
                Err(_) => {}
            }
        }
    }

    /// The leases to renew now, in batches.
    fn due(&self, now: u64) -> Vec<Due> {
        let mut batches: Vec<Due> = Vec::new();
        for shard in 0..SHARDS {
            for (slot, open) in self.shard(shard).iter().filter(|(_, open)| open.due <= now) {
                if batches.last().is_none_or(|last| last.places.len() >= BATCH) {
                    batches.push(Due::default());
                }
                if let Some(last) = batches.last_mut() {
                    last.places.push(Place { shard, slot });
                    last.renewals.push(open.renewal.clone());
                }
            }
        }
        batches
    }

    /// The leases of the holds in `places` are new as of beat `now`. A place may be a later hold's
    /// by now, which is then renewed a little earlier than need be.
    fn put_off(&self, places: &[Place], now: u64) {
        for place in places {
            if let Some(open) = self.shard(place.shard).get_mut(place.slot) {
                open.due = self.due_after(now);
            }
        }
    }

    fn due_after(&self, beat: u64) -> u64 {
        beat.saturating_add(self.rest)
    }

    #[expect(clippy::indexing_slicing, reason = "a shard's number is below their count")]
    fn shard(&self, number: usize) -> MutexGuard<'_, Slab<Open>> {
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

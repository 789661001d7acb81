//! Settlements that are written together.

use super::refund::Refund;
use crate::limits::Measure;
use crate::store::books::RemoteSettlement;

/// How many settlements are written at a time.
const LARGEST: usize = 256;

/// Of so many, each costs about as little as it does of more.
const ENOUGH: usize = 64;

/// Settlements to be written in one call.
pub(super) struct Batch {
    pub(super) settlements: Vec<RemoteSettlement>,
    /// Between which flushes they were handed over.
    pub(super) epoch: u64,
    /// The beat in which the last of them was handed over.
    pub(super) beat: u64,
    /// How often writing them has failed.
    pub(super) failures: u32,
    /// How many settlements had ever been written when the books last refused it.
    pub(super) refused_at: Option<u64>,
    /// Whether there is one of it that somebody may wait for.
    is_urgent: bool,
}

/// A settlement that is to be decided before it is written.
pub(super) struct Undecided {
    pub(super) refund: Refund,
    /// Between which flushes it was handed over.
    pub(super) epoch: u64,
    /// The beat in which it was.
    pub(super) beat: u64,
    /// How often deciding it has failed.
    pub(super) failures: u32,
}

impl Batch {
    pub(super) fn of(settlement: RemoteSettlement, epoch: u64, beat: u64) -> Self {
        let is_urgent = is_urgent(&settlement);
        let settlements = vec![settlement];
        Self { settlements, epoch, beat, failures: 0, refused_at: None, is_urgent }
    }

    /// Whether a settlement that is handed over now may still join it.
    pub(super) fn takes(&self, epoch: u64) -> bool {
        self.epoch == epoch && self.failures == 0 && self.settlements.len() < LARGEST
    }

    /// Whether it is not to wait for others to join it.
    pub(super) fn is_pressing(&self) -> bool {
        self.is_urgent || self.failures > 0 || self.settlements.len() >= ENOUGH
    }

    pub(super) fn add(&mut self, settlement: RemoteSettlement, beat: u64) {
        self.is_urgent |= is_urgent(&settlement);
        self.settlements.push(settlement);
        self.beat = self.beat.max(beat);
    }

    /// The second half of a batch of several.
    pub(super) fn split_off_half(&mut self) -> Option<Self> {
        let half = self.settlements.len() / 2;
        (half > 0).then(|| Self { settlements: self.settlements.split_off(half), ..*self })
    }
}

/// Whether somebody may wait for it: where few may be in flight, the next one does.
fn is_urgent(settlement: &RemoteSettlement) -> bool {
    let in_flight = |measure| measure == Measure::InFlight;
    settlement.counters.iter().any(|charge| in_flight(charge.counter.limit.measure()))
}

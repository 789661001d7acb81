//! Refunds: whether the caps have room is asked of the books, as if a refund were units to hold.

use std::sync::Arc;

use super::link::Link;
use super::offset::Offset;
use super::reserve::StaleTwice;
use crate::count::Spent;
use crate::error::StoreError;
use crate::store::books::{
    Held, Lapse, RemoteBooks, RemoteCharge, RemoteCounter, RemoteReserve, RemoteSettlement,
};
use crate::store::hold::HoldId;

/// A hold that is to be given back, if the caps allow it.
pub(super) struct Refund {
    pub(super) id: HoldId,
    pub(super) counters: Arc<[RemoteCharge]>,
    pub(super) units: u64,
}

/// How a hold ends, and what is settled together with it.
pub(super) type Decided = Vec<RemoteSettlement>;

impl Refund {
    /// Asks the books for room under all caps. To ask again is safe: the same name is the same grant.
    pub(super) async fn decide<B: RemoteBooks>(
        &self,
        link: &Link<B>,
        offset: &Offset,
    ) -> Result<Decided, StoreError> {
        let caps = caps(&self.counters);
        if caps.iter().any(|cap| !cap.could_hold(self.units)) {
            return Ok(vec![self.refused()]);
        }
        let mut request = RemoteReserve {
            id: name(self.id),
            charges: caps,
            units: self.units,
            // Of an unfinished refund nobody knows whether the units came back.
            lapse: Lapse::Charge,
            not_after: offset.heard().saturating_add(link.timeout),
            patience: link.timeout.saturating_mul(2),
        };
        for _ in 0..2 {
            let verdict = match link.refund(&request).await {
                // The window is forgotten: nobody misses what was used in it.
                Err(error) if error.is_clock_skew() => return Ok(vec![self.refused()]),
                answer => answer?,
            };
            offset.hear(verdict.now);
            match verdict.held {
                Held::Granted(_) => {
                    let RemoteReserve { id, charges: counters, .. } = request;
                    let counted =
                        RemoteSettlement { id, counters, spent: Spent::Held, after: None };
                    return Ok(vec![self.end(Spent::Nothing), counted]);
                }
                Held::Denied(_) => return Ok(vec![self.refused()]),
                Held::Stale => request.not_after = verdict.now.saturating_add(link.timeout),
            }
        }
        Err(StoreError::transient("refund", StaleTwice))
    }

    /// How the hold ends where no refund is made.
    pub(super) fn refused(&self) -> RemoteSettlement {
        self.end(Spent::Held)
    }

    fn end(&self, spent: Spent) -> RemoteSettlement {
        RemoteSettlement { id: self.id, counters: self.counters.clone(), spent, after: None }
    }
}

/// The name under which the refund of a hold is held.
pub(super) fn name(id: HoldId) -> HoldId {
    HoldId { nonce: !id.nonce, ..id }
}

/// Counters of what is refunded, each up to its cap.
pub(super) fn caps(counters: &[RemoteCharge]) -> Arc<[RemoteCharge]> {
    let capped = counters.iter().filter(|charge| charge.refunds.is_some());
    capped
        .map(|charge| RemoteCharge {
            counter: RemoteCounter {
                limit: Arc::new(charge.counter.limit.refunds()),
                ..charge.counter.clone()
            },
            ceiling: charge.refunds,
            refunds: None,
        })
        .collect()
}

//! Where holds are opened and settled.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backlog::Backlog;
use super::beats::Beats;
use super::leases::{Leases, Place};
use super::refund::Refund;
use crate::clock::Timestamp;
use crate::count::Spent;
use crate::store::books::{RemoteCharge, RemoteReserve, RemoteSettlement, Renewal};
use crate::store::hold::{HoldId, Settle};

/// What all open holds share. It is gone when the store and all holds are, and then the worker may
/// go too, which therefore does not keep it.
pub(super) struct Desk {
    pub(super) backlog: Arc<Backlog>,
    pub(super) leases: Arc<Leases>,
    pub(super) beats: Arc<Beats>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.backlog.abandon();
    }
}

/// A hold that was asked for, and is not settled.
pub(super) struct OpenHold {
    desk: Arc<Desk>,
    id: HoldId,
    counters: Arc<[RemoteCharge]>,
    units: u64,
    grant: Mutex<Grant>,
}

/// Whether the units were held.
#[derive(Clone, Copy, Debug)]
enum Grant {
    /// Nobody knows yet. It cannot happen after this instant of the books' clock.
    Unknown(Timestamp),
    /// They were, and the lease is being renewed.
    Known(Place),
}

impl OpenHold {
    pub(super) fn new(desk: Arc<Desk>, request: &RemoteReserve) -> Self {
        Self {
            desk,
            id: request.id,
            counters: request.charges.clone(),
            units: request.units,
            grant: Mutex::new(Grant::Unknown(request.not_after)),
        }
    }

    fn is_capped(&self) -> bool {
        self.counters.iter().any(|charge| charge.refunds.is_some())
    }

    /// It is asked for again, until `not_after`.
    pub(super) fn ask_until(&self, not_after: Timestamp) {
        *self.grant() = Grant::Unknown(not_after);
    }

    /// The units are held: from now on the lease is renewed.
    pub(super) fn granted(&self) {
        let renewal = Renewal { id: self.id, counters: self.counters.clone() };
        let place = self.desk.leases.open(renewal, self.desk.beats.now());
        *self.grant() = Grant::Known(place);
    }

    fn grant(&self) -> MutexGuard<'_, Grant> {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OpenHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenHold").field("grant", &*self.grant()).finish_non_exhaustive()
    }
}

impl Settle for OpenHold {
    fn settle(&self, id: HoldId, spent: Spent) {
        let grant = *self.grant();
        let after = match grant {
            Grant::Unknown(not_after) => Some(not_after),
            Grant::Known(place) => {
                self.desk.leases.close(place);
                None
            }
        };
        let (counters, beat) = (self.counters.clone(), self.desk.beats.now());
        if spent == Spent::Refund && after.is_none() && self.is_capped() {
            let refund = Refund { id, counters, units: self.units };
            return self.desk.backlog.hand_over_refund(refund, beat);
        }
        let settlement = RemoteSettlement { id, counters, spent: spent.decided(true), after };
        self.desk.backlog.hand_over(settlement, beat);
    }
}

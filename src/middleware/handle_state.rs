//! What has become of a request, as its handle knows it.

use super::handle_error::HandleError;
use super::shadow::WouldDeny;
use crate::count::Spent;
use crate::reservation::{Decision, Reservation};

/// What has become of a request so far.
pub(super) struct State {
    /// None while the handler has not reserved, and where the store failed and requests may pass.
    pub(super) decision: Option<Decision>,
    /// What the handler has set aside beside that.
    pub(super) more: Vec<Reservation>,
    /// What would have denied any of it, until the response tells.
    pub(super) would_deny: Option<WouldDeny>,
    pub(super) word: Option<Spent>,
    /// Whether the handler has taken the reservation.
    pub(super) taken: bool,
    pub(super) settled: bool,
}

impl State {
    pub(super) fn new(decision: Option<Decision>) -> Self {
        let would_deny = match &decision {
            Some(Decision::Granted(reservation)) => WouldDeny::of(reservation),
            _ => None,
        };
        Self { decision, more: Vec::new(), would_deny, word: None, taken: false, settled: false }
    }

    pub(super) fn note_shadows(&mut self, reservation: &Reservation) {
        self.would_deny = WouldDeny::of(reservation).or(self.would_deny.take());
    }

    pub(super) fn unreserved(&mut self) -> Result<&mut Self, HandleError> {
        match self.decision {
            Some(Decision::Granted(_)) => Err(HandleError::AlreadyReserved),
            _ => Ok(self),
        }
    }

    pub(super) fn reserved(&mut self) -> Result<&mut Self, HandleError> {
        match self.decision {
            Some(Decision::Granted(_)) if !self.taken => Ok(self),
            _ => Err(HandleError::NothingToExtend),
        }
    }
}

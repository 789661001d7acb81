//! The guard that owns a hold, and the decision that hands it out.

use crate::count::Spent;
use crate::decision::Denial;
use crate::standing::Standing;
use crate::store::Hold;

/// What [`Quotas::reserve`](crate::Quotas::reserve) decided.
#[derive(Debug)]
#[must_use = "dropping a granted reservation releases it"]
pub enum Decision {
    /// The units are set aside.
    Granted(Reservation),
    /// They are not, and nothing was written.
    Denied(Denial),
}

/// Units set aside for a request in flight, settled exactly once: by [`commit`](Self::commit),
/// [`commit_units`](Self::commit_units), [`release`](Self::release) or [`refund`](Self::refund), or released
/// when dropped.
///
/// It settles what was granted, in the window that was charged: that the day has ended meanwhile,
/// or that plan, mode or profile have changed, makes no difference.
#[derive(Debug)]
#[must_use = "dropping a reservation releases it"]
pub struct Reservation {
    /// None where nothing is counted.
    hold: Option<Hold>,
    units: u64,
    standing: Standing,
}

impl Reservation {
    pub(crate) fn new(hold: Option<Hold>, units: u64, standing: Standing) -> Self {
        Self { hold, units, standing }
    }

    /// The units that were asked for.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }

    /// Where the profile stood after this reservation was made, its own units included.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Spends the units.
    pub fn commit(mut self) {
        self.close(Spent::Held);
    }

    /// Spends `units` instead of what was set aside: more or fewer, also above the limit. Where
    /// nothing was set aside (0 units, an unlimited profile), nothing is spent. A request of 0 units has
    /// been made all the same, and limits [per request](crate::Limit::per_request) count it.
    pub fn commit_units(mut self, units: u64) {
        self.close(Spent::Units(units));
    }

    /// Gives the units back, as if nothing had been asked for: no limit counts the request.
    pub fn release(mut self) {
        self.close(Spent::Nothing);
    }

    /// Gives the units back after a failure, as far as the limits'
    /// [caps on refunds](crate::Limit::max_refunds) allow. Past a cap they are spent.
    pub fn refund(mut self) {
        self.close(Spent::Refund);
    }

    /// Moves the hold into a reservation of its own. What stays settles nothing.
    pub(crate) fn detach(&mut self) -> Self {
        Self { hold: self.hold.take(), units: self.units, standing: self.standing.clone() }
    }

    /// Settles the hold if that has not been done, and brings the standing up to date.
    pub(crate) fn close(&mut self, spent: Spent) {
        if let Some(hold) = self.hold.take() {
            // Where there is no cap, no store has anything to decide.
            let capped = self.standing.allowance().caps_refunds();
            let spent = if capped { spent } else { spent.decided(true) };
            self.standing.settle(self.units, spent);
            hold.settle(spent);
        }
    }
}

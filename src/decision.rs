//! What was decided about a request, and what its end costs.

use chrono::{DateTime, Utc};

use crate::standing::{Standing, Status};

/// A refused request: an outcome, not an error. Nothing was written for it.
///
/// It always names a limit that tripped. Where several did, [`status`](Denial::status) is the one
/// that keeps the request waiting longest.
#[derive(Clone, Debug)]
pub struct Denial {
    standing: Standing,
    units: u64,
}

impl Denial {
    pub(crate) fn new(standing: Standing, units: u64) -> Self {
        Self { standing, units }
    }

    /// The feature that was asked for.
    #[must_use]
    pub fn feature(&self) -> &str {
        self.standing.feature()
    }

    /// The units that were asked for.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }

    /// Where the profile stands with every limit of the feature, tripped or not.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The limits that had no room for the request.
    pub fn violated(&self) -> impl Iterator<Item = Status> {
        let enforced = self.standing.statuses().filter(|status| !status.is_shadow());
        enforced.filter(|status| !status.admits(self.units))
    }

    /// The tripped limit that keeps the request waiting longest.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.violated().max_by_key(|status| {
            let never = !self.fits_later(status);
            (never, !status.comes_back(), status.resets_at())
        })
    }

    /// When the limit that keeps the request waiting longest starts over; none if it never does.
    #[must_use]
    pub fn resets_at(&self) -> Option<DateTime<Utc>> {
        self.status()?.resets_at()
    }

    /// After how many seconds, rounded up and at least 1, the request may fit; none if waiting
    /// will not help: it asks for more than a limit could ever hold, or a lifetime limit is used up.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        let status = self.status()?;
        // Nobody knows when a request in flight will end.
        let seconds = status.seconds_until_reset().unwrap_or(0);
        self.fits_later(&status).then_some(seconds.max(1))
    }

    fn fits_later(&self, status: &Status) -> bool {
        let could_hold = status.measure().held(self.units) <= status.amount();
        could_hold && status.comes_back()
    }
}

/// What [`Quotas::check`](crate::Quotas::check) found.
#[derive(Clone, Debug)]
pub enum Check {
    /// The units would be granted now.
    Allowed(Standing),
    /// They would be denied.
    Denied(Denial),
}

/// What the end of a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Spend what was held.
    Commit,
    /// Spend this many units, more or fewer than were held. Also with 0, limits [per
    /// request](crate::Limit::per_request) count the request.
    Charge(u64),
    /// Give back what was held, as far as the limits' [caps on refunds](crate::Limit::max_refunds)
    /// allow. No limit counts the request.
    Release,
    /// Decide when the body has ended. At the end it means [`Settlement::Commit`].
    Wait,
}

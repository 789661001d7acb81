//! What shadow mode would have done.

use std::sync::Arc;

use crate::reservation::Reservation;
use crate::standing::{Standing, Status};

/// What would have denied a request if it were enforced: limits of an engine in [shadow
/// mode](crate::Mode::Shadow), or [shadow limits](crate::Limit::shadow). In the extensions of the
/// response, for a layer further out to count or to log; with feature `tracing` it is also an event.
/// Where a request passed several layers, it is the outermost's.
///
/// ```
/// use http::Response;
/// use tower_quota::WouldDeny;
///
/// fn log<B>(response: &Response<B>) {
///     if let Some(would_deny) = response.extensions().get::<WouldDeny>() {
///         for status in would_deny.limits() {
///             println!("{} of {}", status.limit(), would_deny.feature());
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct WouldDeny(Arc<Standing>);

impl WouldDeny {
    /// What would have denied what was granted, if anything.
    pub(super) fn of(reservation: &Reservation) -> Option<Self> {
        let standing = reservation.standing();
        // Nothing is asked of a limit by nothing.
        standing.exceeded().next().filter(|_| reservation.units() > 0)?;
        let would_deny = Self(Arc::new(standing.clone()));
        say(&would_deny);
        Some(would_deny)
    }

    /// The feature that was asked for.
    #[must_use]
    pub fn feature(&self) -> &str {
        self.0.feature()
    }

    /// The limits that had no room, as they stood with the request's own units.
    pub fn limits(&self) -> impl Iterator<Item = Status> {
        self.0.exceeded()
    }
}

#[cfg(feature = "tracing")]
fn say(would_deny: &WouldDeny) {
    for status in would_deny.limits() {
        let (feature, limit) = (would_deny.feature(), status.limit());
        let (used, held, amount) = (status.used(), status.held(), status.amount());
        tracing::info!(feature, limit, used, held, amount, "a quota would have denied this");
    }
}

#[cfg(not(feature = "tracing"))]
fn say(_would_deny: &WouldDeny) {}

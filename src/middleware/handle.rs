//! The handler's say: what a handler can read and decide about its own request.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::handle_error::HandleError;
use super::handle_state::State;
use super::shadow::WouldDeny;
use crate::count::Spent;
use crate::decision::Check;
use crate::error::Error;
use crate::limits::Profile;
use crate::quotas::Quotas;
use crate::reservation::{Decision, Reservation};
use crate::standing::Standing;

/// Lets a handler read its quota and decide what its request costs. It is in the extensions of
/// every metered request, in every mode; with feature `axum` it is an extractor too.
///
/// The last word of [`release`](Self::release) and [`charge`](Self::charge) wins over the outcome
/// policy. It takes effect when the request is settled, also if the request fails, and can still be
/// said from inside a streaming body. Where nothing is held (a forwarded denial, an unlimited
/// profile, an unmetered engine, a reservation that was [taken](Self::take)) it has no effect.
///
/// ```
/// use http::{Request, Response};
/// use tower_quota::{HandleError, QuotaHandle};
///
/// fn answer(request: Request<String>) -> Result<Response<String>, HandleError> {
///     if let Some(quota) = request.extensions().get::<QuotaHandle>() {
///         quota.charge(812)?; // what it took, in tokens
///     }
///     Ok(Response::new("done".to_owned()))
/// }
/// ```
#[derive(Clone)]
pub struct QuotaHandle(Arc<Shared>);

/// The one allocation that handle, future and body of a request share.
struct Shared {
    /// Which layer meters the request.
    layer: u64,
    /// The handle of another layer further out.
    outer: Option<QuotaHandle>,
    /// Boxed, because few requests have one.
    order: Option<Box<Order>>,
    state: Mutex<State>,
}

/// What the handler may reserve, where that is left to it.
pub(super) struct Order {
    pub(super) quotas: Quotas,
    pub(super) profile: Profile,
    pub(super) feature: String,
}

impl QuotaHandle {
    pub(super) fn new(
        layer: u64,
        outer: Option<Self>,
        order: Option<Box<Order>>,
        decision: Option<Decision>,
    ) -> Self {
        let state = State::new(decision);
        Self(Arc::new(Shared { layer, outer, order, state: Mutex::new(state) }))
    }

    /// Where the profile stood with the feature when it was decided about this request, its own
    /// units included. None before [`reserve`](Self::reserve).
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.with_standing(Standing::clone)
    }

    /// Units left before the first limit trips; none where nothing is counted.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.with_standing(Standing::remaining).flatten()
    }

    /// When the first limit starts over; none where nothing is counted, or never resets.
    #[must_use]
    pub fn resets_at(&self) -> Option<DateTime<Utc>> {
        self.with_standing(Standing::resets_at).flatten()
    }

    /// Gives the units back when the request ends, whatever becomes of it: the result came from a
    /// cache. No limit counts the request.
    ///
    /// # Errors
    ///
    /// The request is settled.
    pub fn release(&self) -> Result<(), HandleError> {
        self.open()?.word = Some(Spent::Nothing);
        Ok(())
    }

    /// Charges `units` when the request ends, whatever becomes of it: more or fewer than were set
    /// aside, also above the limit. A request that took 0 units has been made all the same, and limits
    /// [per request](crate::Limit::per_request) count it; to take it back is to
    /// [`release`](Self::release) it.
    ///
    /// # Errors
    ///
    /// The request is settled.
    pub fn charge(&self, units: u64) -> Result<(), HandleError> {
        self.open()?.word = Some(Spent::Units(units));
        Ok(())
    }

    /// Sets `units` aside for this request, if the route leaves that to the handler. They are
    /// settled with the request. After a denial it may be called again, for fewer.
    ///
    /// # Errors
    ///
    /// The layer or this handler has reserved already, the request is settled, or the engine could
    /// not decide: what becomes of the request then is the handler's to say.
    pub async fn reserve(&self, units: u64) -> Result<Check, HandleError> {
        let order = self.unreserved()?;
        self.decided(order.quotas.reserve(&order.profile, &order.feature, units).await)
    }

    /// The same for about so many units: for fewer, if that is all that the limits could ever hold.
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub async fn reserve_about(&self, units: u64) -> Result<Check, HandleError> {
        let order = self.unreserved()?;
        self.decided(order.quotas.reserve_about(&order.profile, &order.feature, units).await)
    }

    fn decided(&self, decision: Result<Decision, Error>) -> Result<Check, HandleError> {
        let decision = decision.map_err(HandleError::Engine)?;
        let check = match &decision {
            Decision::Granted(reservation) => Check::Allowed(reservation.standing().clone()),
            Decision::Denied(denial) => Check::Denied(denial.clone()),
        };
        let mut state = self.open()?;
        // Another clone of the handle may have been faster.
        let state = state.unreserved()?;
        if let Decision::Granted(reservation) = &decision {
            state.note_shadows(reservation);
        }
        state.decision = Some(decision);
        Ok(check)
    }

    /// Sets `units` aside beside those that the request has already, from the handler or from inside a
    /// streaming body, which may end politely where they are denied. They are settled with the
    /// request: committed with it, or given back where it is [charged](Self::charge) something else.
    /// Limits that count requests have counted this one. Where there is a [cap on
    /// refunds](crate::Limit::max_refunds), what is held more is refunded or charged by itself, and
    /// may come back where the rest of the request does not.
    ///
    /// ```
    /// use tower_quota::{Check, HandleError, QuotaHandle};
    ///
    /// /// Whether another 100 tokens may be generated.
    /// async fn may_go_on(quota: &QuotaHandle) -> Result<bool, HandleError> {
    ///     Ok(matches!(quota.hold_more(100).await?, Check::Allowed(_)))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Nothing is reserved, or not on a route whose rule is
    /// [`hold_more_in_handler`](crate::Rule::hold_more_in_handler) or
    /// [`reserve_in_handler`](crate::Rule::reserve_in_handler); the request is settled; or the engine
    /// could not decide.
    pub async fn hold_more(&self, units: u64) -> Result<Check, HandleError> {
        let Some(order) = &self.0.order else { return Err(HandleError::NothingToExtend) };
        self.open()?.reserved()?;
        let decision = order.quotas.reserve_more(&order.profile, &order.feature, units);
        match decision.await.map_err(HandleError::Engine)? {
            Decision::Granted(reservation) => {
                let standing = reservation.standing().clone();
                // If the request has ended meanwhile, it is given back.
                let mut state = self.open()?;
                let state = state.reserved()?;
                state.note_shadows(&reservation);
                state.more.push(reservation);
                Ok(Check::Allowed(standing))
            }
            Decision::Denied(denial) => Ok(Check::Denied(denial)),
        }
    }

    /// Takes the reservation out of the layer's hands, for what lives on after the response: an
    /// upgraded connection. None if nothing is reserved, or it was taken before.
    ///
    /// # Errors
    ///
    /// The request is settled.
    pub fn take(&self) -> Result<Option<Reservation>, HandleError> {
        let mut state = self.open()?;
        let state = &mut *state;
        let Some(Decision::Granted(reservation)) = &mut state.decision else {
            return Ok(None);
        };
        let first = !mem::replace(&mut state.taken, true);
        Ok(first.then(|| reservation.detach()))
    }

    /// The handle of the next layer further out, if the request passed several.
    #[must_use]
    pub fn outer(&self) -> Option<&Self> {
        self.0.outer.as_ref()
    }

    /// Whether this layer, or one further out, is `layer`.
    pub(super) fn has_met(&self, layer: u64) -> bool {
        self.0.layer == layer || self.outer().is_some_and(|outer| outer.has_met(layer))
    }

    /// Settles the request, by the handler's word or else by `policy`. Once.
    pub(super) fn settle(&self, policy: Spent) {
        let mut state = self.state();
        if state.settled {
            return;
        }
        state.settled = true;
        let spent = state.word.unwrap_or(policy);
        // What is charged is charged where the request began.
        let more = match spent {
            Spent::Units(_) => Spent::Nothing,
            whole => whole,
        };
        for reservation in &mut state.more {
            reservation.close(more);
        }
        if let Some(Decision::Granted(reservation)) = &mut state.decision {
            reservation.close(spent);
        }
    }

    pub(super) fn take_would_deny(&self) -> Option<WouldDeny> {
        self.state().would_deny.take()
    }

    pub(super) fn with_standing<T>(&self, read: impl FnOnce(&Standing) -> T) -> Option<T> {
        match &self.state().decision {
            Some(Decision::Granted(reservation)) => Some(read(reservation.standing())),
            Some(Decision::Denied(denial)) => Some(read(denial.standing())),
            None => None,
        }
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, HandleError> {
        let state = self.state();
        if state.settled {
            return Err(HandleError::Settled);
        }
        Ok(state)
    }

    /// What the handler may reserve, if it has not done so.
    fn unreserved(&self) -> Result<&Order, HandleError> {
        let order = self.0.order.as_deref().ok_or(HandleError::ReservedByLayer)?;
        self.open()?.unreserved()?;
        Ok(order)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for QuotaHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("QuotaHandle")
            .field("decision", &state.decision)
            .field("settled", &state.settled)
            .finish_non_exhaustive()
    }
}

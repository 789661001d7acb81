//! Where holds are entered, and settled from.

use std::sync::Arc;
use std::{array, fmt};

use super::entry::Address;
use super::hold::{HoldId, Settle};
use super::ledgers;
use super::stripes::{Locked, STRIPES, Stripes};
use crate::count::Spent;

/// A stripe that holds are entered in: of those that their counters lie in, the one that is locked first.
// In this order, so that what settling reads lies beside the reference count.
#[repr(C)]
struct Home {
    stripes: Arc<Stripes>,
    stripe: u8,
    /// Keeps the next one's reference count off the cache lines of this one's.
    _apart: [u64; 14],
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("stripe", &self.stripe).finish_non_exhaustive()
    }
}

impl Settle for Home {
    fn settle(&self, id: HoldId, spent: Spent) {
        let mut home = self.stripes.ledger(self.stripe);
        let Some((hold, caps)) = home.take_out(id) else { return };
        let stripes = hold.counters.iter().copied().map(Address::stripe);
        if stripes.clone().all(|stripe| stripe == self.stripe) {
            return ledgers::settle(&mut *home, &hold, &caps, spent);
        }
        let mut locked = Locked::one(self.stripe, home);
        self.stripes.lock_more(&mut locked, &stripes);
        ledgers::settle(&mut locked, &hold, &caps, spent);
    }
}

/// All stripes, as homes of holds. Each is counted apart, for no request may write to what all share.
pub(super) struct Homes {
    stripes: Arc<Stripes>,
    homes: [Arc<Home>; STRIPES],
}

impl Default for Homes {
    fn default() -> Self {
        let stripes = Arc::new(Stripes::default());
        let homes = array::from_fn(|stripe| {
            let stripe = u8::try_from(stripe).unwrap_or_default();
            Arc::new(Home { stripes: stripes.clone(), stripe, _apart: [0; 14] })
        });
        Self { stripes, homes }
    }
}

impl Homes {
    pub(super) fn stripes(&self) -> &Stripes {
        &self.stripes
    }

    /// Who settles the holds that are entered in this stripe.
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    pub(super) fn of(&self, stripe: u8) -> Arc<dyn Settle> {
        self.homes[usize::from(stripe)].clone()
    }
}

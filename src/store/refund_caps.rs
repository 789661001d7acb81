//! The caps on refunds that open holds were reserved under.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::entry::Address;
use super::hold::HoldId;

/// The caps of holds that are entered in one ledger. They are kept beside the holds, most of which have
/// none.
#[derive(Default)]
pub(super) struct RefundCaps(HashTable<HoldCaps>);

/// A cap of a counter that a hold is of.
pub(super) struct RefundCap {
    pub(super) counter: Address,
    pub(super) cap: u64,
}

/// All caps of one hold.
pub(super) type Caps = SmallVec<[RefundCap; 1]>;

struct HoldCaps {
    id: HoldId,
    caps: Caps,
}

impl RefundCaps {
    /// Keeps one more cap of a hold.
    pub(super) fn add(&mut self, id: HoldId, cap: RefundCap) {
        let hash = |hold: &HoldCaps| hold.id.spread();
        let entry = self.0.entry(id.spread(), |hold| hold.id == id, hash);
        entry.or_insert_with(|| HoldCaps { id, caps: Caps::new() }).into_mut().caps.push(cap);
    }

    /// Takes out the caps of a hold that ends.
    #[inline]
    pub(super) fn take(&mut self, id: HoldId) -> Caps {
        if self.0.is_empty() {
            return Caps::new();
        }
        match self.0.find_entry(id.spread(), |hold| hold.id == id) {
            Ok(found) => found.remove().0.caps,
            Err(_) => Caps::new(),
        }
    }
}

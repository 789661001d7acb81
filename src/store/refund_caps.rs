//! The caps on refunds that open holds were reserved under.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::hold::HoldId;

/// The caps of holds of one ledger. They are kept beside the holds, most of which have none.
#[derive(Default)]
pub(super) struct RefundCaps(HashTable<HoldCaps>);

/// A cap of a counter that a hold is of.
pub(super) struct RefundCap {
    pub(super) slot: usize,
    pub(super) cap: u64,
}

/// All caps of one hold.
pub(super) type Caps = SmallVec<[RefundCap; 1]>;

struct HoldCaps {
    id: HoldId,
    caps: Caps,
}

impl RefundCaps {
    /// Whether no open hold has any.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps one more cap of a hold.
    pub(super) fn add(&mut self, id: HoldId, cap: RefundCap) {
        let hash = |hold: &HoldCaps| hold.id.spread();
        let entry = self.0.entry(id.spread(), |hold| hold.id == id, hash);
        entry.or_insert_with(|| HoldCaps { id, caps: Caps::new() }).into_mut().caps.push(cap);
    }

    /// The caps of a hold.
    pub(super) fn of(&self, id: HoldId) -> &[RefundCap] {
        let found = self.0.find(id.spread(), |hold| hold.id == id);
        found.map(|hold| hold.caps.as_slice()).unwrap_or_default()
    }

    /// Takes out the caps of a hold that ends.
    pub(super) fn take(&mut self, id: HoldId) -> Caps {
        match self.0.find_entry(id.spread(), |hold| hold.id == id) {
            Ok(found) => found.remove().0.caps,
            Err(_) => Caps::new(),
        }
    }
}

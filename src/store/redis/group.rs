//! Many holds in one script: grouped by counter, and by what a script may reach.

use std::collections::HashMap;
use std::sync::Arc;

use super::keys::Tag;
use crate::limits::ProfileId;
use crate::store::books::{RemoteCharge, RemoteCounter, RemoteSettlement, Renewal};

/// How far one script reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Over all keys.
    Server,
    /// Over the keys of one slot: those of one tag.
    Slot(Tag),
}

impl Reach {
    /// The slot of a counter, by its tag; none where that makes no difference.
    fn slot(self, counter: &RemoteCounter) -> Option<&ProfileId> {
        match self {
            Self::Server => None,
            Self::Slot(tag) => Some(tag.of(counter)),
        }
    }

    /// Splits counters, by their index, into those that one script reaches, in the order of the
    /// first of each.
    pub(super) fn split<'a>(
        self,
        counters: impl Iterator<Item = &'a RemoteCounter>,
    ) -> Vec<Vec<usize>> {
        let mut parts: Vec<(Option<&ProfileId>, Vec<usize>)> = Vec::new();
        for (index, counter) in counters.enumerate() {
            let slot = self.slot(counter);
            match parts.iter_mut().find(|(other, _)| *other == slot) {
                Some((_, part)) => part.push(index),
                None => parts.push((slot, vec![index])),
            }
        }
        parts.into_iter().map(|(_, part)| part).collect()
    }
}

/// Something about the hold of several counters.
pub(super) trait OfHold {
    fn counters(&self) -> &Arc<[RemoteCharge]>;
}

impl OfHold for RemoteSettlement {
    fn counters(&self) -> &Arc<[RemoteCharge]> {
        &self.counters
    }
}

impl OfHold for Renewal {
    fn counters(&self) -> &Arc<[RemoteCharge]> {
        &self.counters
    }
}

/// What one script is given.
pub(super) struct Group<'a, T> {
    pub(super) items: Vec<&'a T>,
    /// Each counter, with the indices of its items.
    pub(super) counters: Vec<(&'a RemoteCounter, Vec<usize>)>,
    indices: HashMap<&'a RemoteCounter, usize>,
    entries: usize,
}

impl<'a, T: OfHold> Group<'a, T> {
    /// Groups of all `items`, each of at most `limit` entries: pairs of an item and a counter. All
    /// counters of an item that are within reach are in one group.
    pub(super) fn all(items: &'a [T], reach: Reach, limit: usize) -> Vec<Self> {
        let mut full = Vec::new();
        let mut open: HashMap<Option<&ProfileId>, Self> = HashMap::new();
        for item in items {
            let counters = item.counters();
            for part in reach.split(counters.iter().map(|charge| &charge.counter)) {
                let part: Vec<_> = part.iter().filter_map(|index| counters.get(*index)).collect();
                let slot = part.first().and_then(|charge| reach.slot(&charge.counter));
                let group = open.entry(slot).or_insert_with(Self::new);
                if group.entries > 0 && group.entries.saturating_add(part.len()) > limit {
                    full.push(std::mem::replace(group, Self::new()));
                }
                group.push(item, &part);
            }
        }
        full.extend(open.into_values());
        full
    }

    fn new() -> Self {
        Self { items: Vec::new(), counters: Vec::new(), indices: HashMap::new(), entries: 0 }
    }

    fn push(&mut self, item: &'a T, charges: &[&'a RemoteCharge]) {
        let index = self.items.len();
        self.items.push(item);
        self.entries = self.entries.saturating_add(charges.len());
        for charge in charges {
            let counter = &charge.counter;
            let at = *self.indices.entry(counter).or_insert_with(|| {
                self.counters.push((counter, Vec::new()));
                self.counters.len().saturating_sub(1)
            });
            if let Some((_, items)) = self.counters.get_mut(at) {
                items.push(index);
            }
        }
    }
}

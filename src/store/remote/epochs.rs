//! How much is not written, by when it was handed over.

use std::collections::VecDeque;
use std::mem;

/// How many settlements are not written. An epoch is what was handed over between two flushes.
pub(super) struct Epochs {
    total: usize,
    /// Of each epoch, from the oldest to the present.
    unwritten: VecDeque<usize>,
    oldest: u64,
}

impl Epochs {
    pub(super) fn new() -> Self {
        Self { total: 0, unwritten: VecDeque::from([0]), oldest: 0 }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// The oldest epoch of which something is not written.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// The epoch of what is handed over now.
    pub(super) fn present(&self) -> u64 {
        let later = self.unwritten.len().saturating_sub(1);
        self.oldest.saturating_add(u64::try_from(later).unwrap_or(u64::MAX))
    }

    /// Begins an epoch, and gives its number.
    pub(super) fn begin(&mut self) -> u64 {
        if self.unwritten.back().is_some_and(|unwritten| *unwritten > 0) {
            self.unwritten.push_back(0);
        }
        self.present()
    }

    /// Counts settlements of `epoch` as handed over.
    pub(super) fn add(&mut self, epoch: u64, count: usize) {
        if let Some(unwritten) = self.unwritten(epoch) {
            *unwritten = unwritten.saturating_add(count);
            self.total = self.total.saturating_add(count);
        }
    }

    /// Counts settlements of `epoch` as written or given up.
    pub(super) fn finish(&mut self, epoch: u64, count: usize) {
        let Some(unwritten) = self.unwritten(epoch) else { return };
        *unwritten = unwritten.saturating_sub(count);
        self.total = self.total.saturating_sub(count);
        while self.unwritten.len() > 1 && self.unwritten.front() == Some(&0) {
            self.unwritten.pop_front();
            self.oldest = self.oldest.saturating_add(1);
        }
    }

    /// Counts all settlements as done with, and says how many were not written.
    pub(super) fn end(&mut self) -> usize {
        self.oldest = self.present().saturating_add(1);
        self.unwritten = VecDeque::from([0]);
        mem::take(&mut self.total)
    }

    /// How many from before `epoch` are not written.
    pub(super) fn before(&self, epoch: u64) -> usize {
        let epochs = epoch.saturating_sub(self.oldest);
        self.unwritten.iter().take(usize::try_from(epochs).unwrap_or(usize::MAX)).sum()
    }

    fn unwritten(&mut self, epoch: u64) -> Option<&mut usize> {
        let place = epoch.checked_sub(self.oldest)?;
        self.unwritten.get_mut(usize::try_from(place).ok()?)
    }
}

//! Units set aside for a request in flight.

use std::cell::Cell;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::count::Spent;

/// The name of a hold: no other hold has it, in this process or another.
///
/// A random nonce of the process and a number counted up in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HoldId {
    /// Drawn at random when the process starts to hold.
    pub nonce: u64,
    /// Counted up in the process.
    pub sequence: u64,
}

/// How many numbers a thread takes at a time, so that threads seldom meet at the counter.
const BLOCK: u64 = 1024;

impl HoldId {
    pub(crate) fn next() -> Self {
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
        let sequence = NEXT.with(|next| {
            let sequence = match next.get() {
                spent if spent % BLOCK == 0 => take_block(),
                sequence => sequence,
            };
            next.set(sequence.wrapping_add(1));
            sequence
        });
        Self { nonce: process_nonce(), sequence }
    }

    /// Spread over all bits, as a hash: ids are counted up, and need no other.
    pub(super) fn spread(self) -> u64 {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
        (self.sequence ^ self.nonce).wrapping_mul(GOLDEN_RATIO)
    }
}

fn take_block() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(BLOCK, Ordering::Relaxed)
}

fn process_nonce() -> u64 {
    static NONCE: OnceLock<u64> = OnceLock::new();
    *NONCE.get_or_init(random)
}

/// A number drawn at random.
pub(super) fn random() -> u64 {
    // The standard library keys its hashers from the system's random numbers, each differently.
    std::hash::RandomState::new().hash_one("tower-quota")
}

/// Writes settlements into the books.
///
/// [`settle`](Settle::settle) must not block or panic: it is called when a guard is dropped. A
/// remote store queues the settlement and lets a worker write it.
pub trait Settle: fmt::Debug + Send + Sync + 'static {
    /// Settles a hold. A second time, or for an unknown hold, it changes nothing. Whether a
    /// [refund](Spent::Refund) is made is decided here, by the caps of all of the hold's limits.
    fn settle(&self, id: HoldId, spent: Spent);
}

/// A hold that is still open. Dropping it gives its units back.
#[derive(Debug)]
pub struct Hold {
    id: HoldId,
    /// Taken when the hold is settled.
    books: Option<Arc<dyn Settle>>,
}

impl Hold {
    /// An open hold in these books.
    pub fn new(id: HoldId, books: Arc<dyn Settle>) -> Self {
        Self { id, books: Some(books) }
    }

    /// The hold's name.
    #[must_use]
    pub fn id(&self) -> HoldId {
        self.id
    }

    /// Settles the hold.
    pub fn settle(mut self, spent: Spent) {
        self.close(spent);
    }

    /// Forgets a hold that was not made after all: there is nothing to settle.
    ///
    /// For a store that makes the hold before it waits for the answer, and is then told that
    /// nothing was held.
    pub fn void(mut self) {
        self.books = None;
    }

    fn close(&mut self, spent: Spent) {
        if let Some(books) = self.books.take() {
            books.settle(self.id, spent);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.close(Spent::Nothing);
    }
}

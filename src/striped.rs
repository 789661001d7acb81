//! Several copies of one shared thing, so that threads do not meet on its reference count.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Copies kept of each shared thing. Threads beyond this many share copies in turn.
const COPIES: usize = 8;

/// A value kept in [`COPIES`] copies; each thread always picks the same one.
///
/// For an `Arc` that every request clones: with one copy, every core would write to the same
/// counter.
#[derive(Clone, Debug)]
pub(crate) struct Striped<T>([T; COPIES]);

impl<T> Striped<T> {
    pub(crate) fn new(mut copy: impl FnMut() -> T) -> Self {
        Self(std::array::from_fn(|_| copy()))
    }

    pub(crate) fn pick(&self) -> &T {
        let [first, ..] = &self.0;
        self.0.get(thread_number() % COPIES).unwrap_or(first)
    }
}

fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) });
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed) % COPIES);
        }
        number.get()
    })
}

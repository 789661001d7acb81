//! The contract of stores, kept by the memory store and by one that answers later; and that of
//! books outside of this process, kept by plain ones.

use std::sync::Arc;

use tower_quota::contract::Subject;
use tower_quota::{ManualClock, MemoryStore};

use crate::support::{DeferredStore, noon};

/// Books in this process: one handle for all.
struct Shared<B> {
    books: B,
    clock: ManualClock,
}

impl<B: Default> Shared<B> {
    fn new() -> Self {
        Self { books: B::default(), clock: noon() }
    }
}

impl<B: Clone + Send + Sync + 'static> Subject for Shared<B> {
    type Books = B;

    async fn open(&self) -> B {
        self.books.clone()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn episodes(&self) -> u64 {
        2_000
    }
}

mod memory {
    use super::{Arc, MemoryStore, Shared};

    tower_quota::contract!(Store: Shared::<Arc<MemoryStore>>::new());
}

mod deferred {
    use super::{DeferredStore, Shared};

    tower_quota::contract!(Store: Shared::<DeferredStore>::new());
}

#[cfg(feature = "remote")]
mod plain {
    use super::{Shared, noon};
    use crate::support::PlainBooks;

    tower_quota::contract!(RemoteBooks: {
        let clock = noon();
        Shared { books: PlainBooks::new(clock.clone()), clock }
    });
}

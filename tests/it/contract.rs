//! The contract of stores, kept by the memory store; and that of books outside of this process,
//! kept by plain ones.

use std::sync::Arc;

use tower_quota::contract::Subject;
use tower_quota::{ManualClock, MemoryStore};

use crate::support::noon;

/// The memory store, whose books are reached through one handle by all.
struct Memory {
    books: Arc<MemoryStore>,
    clock: ManualClock,
}

impl Memory {
    fn new() -> Self {
        Self { books: Arc::default(), clock: noon() }
    }
}

impl Subject for Memory {
    type Books = Arc<MemoryStore>;

    async fn open(&self) -> Arc<MemoryStore> {
        self.books.clone()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

mod memory {
    use super::Memory;

    tower_quota::contract!(Store: Memory::new());
}

#[cfg(feature = "remote")]
mod plain {
    use tower_quota::ManualClock;
    use tower_quota::contract::Subject;

    use crate::support::{PlainBooks, noon};

    struct Plain {
        books: PlainBooks,
        clock: ManualClock,
    }

    impl Plain {
        fn new() -> Self {
            let clock = noon();
            Self { books: PlainBooks::new(clock.clone()), clock }
        }
    }

    impl Subject for Plain {
        type Books = PlainBooks;

        async fn open(&self) -> PlainBooks {
            self.books.clone()
        }

        fn clock(&self) -> &ManualClock {
            &self.clock
        }

        fn episodes(&self) -> u64 {
            2_000
        }
    }

    tower_quota::contract!(RemoteBooks: Plain::new());
}

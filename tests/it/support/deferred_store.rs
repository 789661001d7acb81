//! A store that answers later, and settles no sooner than it has to: as remote ones do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::future::FutureExt;
use tokio::task::yield_now;
use tower_quota::store::{
    Answer, Change, Charge, Counter, Hold, HoldId, MemoryStore, Reserve, Settle, Store, Verdict,
};
use tower_quota::{Count, Spent, StoreError, Timestamp};

/// A handle of the memory store. Its clones share the books and the queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeferredStore {
    books: Arc<MemoryStore>,
    queue: Arc<Queue>,
}

/// What waits to be settled.
#[derive(Debug, Default)]
struct Queue {
    open: Mutex<HashMap<HoldId, Vec<Hold>>>,
    settlements: Mutex<Vec<(HoldId, Spent)>>,
}

impl Settle for Queue {
    fn settle(&self, id: HoldId, spent: Spent) {
        self.settlements.lock().unwrap().push((id, spent));
    }
}

impl Queue {
    fn drain(&self) {
        // Whoever else flushes meanwhile has to wait until all of it is settled.
        let mut settlements = self.settlements.lock().unwrap();
        for (id, spent) in settlements.drain(..) {
            let hold = self.open.lock().unwrap().get_mut(&id).and_then(Vec::pop);
            hold.unwrap().settle(spent);
        }
    }
}

/// An answer that is there already, heard a few turns later.
fn later<T: Send + 'static>(answer: Answer<T>) -> Answer<T> {
    let Answer::Ready(answer) = answer else { panic!("the memory store never waits") };
    let heard = async move {
        for _ in 0..3 {
            yield_now().await;
        }
        answer
    };
    Answer::Pending(heard.boxed())
}

impl Store for DeferredStore {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        let queue = self.queue.clone();
        later(self.books.reserve(request).map(move |verdict| match verdict {
            Ok(Verdict::Granted(hold, counts)) => {
                let id = hold.id();
                queue.open.lock().unwrap().entry(id).or_default().push(hold);
                Ok(Verdict::Granted(Hold::new(id, queue), counts))
            }
            other => other,
        }))
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        later(self.books.read(charges, units, now))
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        later(self.books.change(counters, change, now))
    }

    fn flush(&self) -> Answer<Result<(), StoreError>> {
        let queue = self.queue.clone();
        later(Answer::Ready(())).map(move |()| {
            queue.drain();
            Ok(())
        })
    }
}

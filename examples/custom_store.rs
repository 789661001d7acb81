//! A store of one's own, and the contract that every store has to keep.
//!
//! `cargo run --example custom_store --features test-util` spends from it, and
//! `cargo test --example custom_store --features test-util` runs the whole contract on it.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tower_quota::store::{
    Answer, Change, Charge, Counter, Hold, HoldId, Reserve, Settle, Store, Verdict,
};
use tower_quota::{Count, Counts, Decision, Limit, Measure, Plan, Profile, Quotas, Spent};
use tower_quota::{StoreError, Timestamp, Window};

/// Which count it is: whose, of which limit, from when on. It is kept in parts: joined to one text,
/// some id would come that blends into another.
type Key = (Vec<u8>, String, Timestamp);

fn key(counter: &Counter<'_>) -> Key {
    (counter.scope.as_bytes().to_vec(), counter.limit.as_str().to_owned(), counter.window.start)
}

/// All counts, and the holds that are still open: their counts, as each is measured, and their units.
#[derive(Debug, Default)]
struct Books {
    counts: HashMap<Key, Count>,
    holds: HashMap<HoldId, (Vec<(Key, Measure)>, u64)>,
}

impl Books {
    fn count(&self, counter: &Counter<'_>) -> Count {
        let count = self.counts.get(&key(counter)).copied();
        count.unwrap_or(Count::unused(counter.window))
    }
}

/// The books, which open holds share with the store: they find back to them when they end.
#[derive(Debug, Default)]
struct Ledger(Mutex<Books>);

impl Settle for Ledger {
    fn settle(&self, id: HoldId, spent: Spent) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((keys, units)) = books.holds.remove(&id) else { return };
        for (key, measure) in keys {
            if let Some(count) = books.counts.get_mut(&key) {
                count.settle(measure, units, spent);
            }
        }
    }
}

/// A store in maps under one lock. It never forgets.
#[derive(Clone, Debug, Default)]
struct MapStore(Arc<Ledger>);

impl MapStore {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MapStore {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        let mut books = self.books();
        let count = |charge: &Charge<'_>| books.count(&charge.counter);
        let mut counts: Counts = request.charges.iter().map(count).collect();
        // The same id again is the same grant.
        if !books.holds.contains_key(&request.id) {
            let mut each = request.charges.iter().zip(&counts);
            if !each.all(|(charge, count)| charge.admits(count, request.units)) {
                return Answer::Ready(Ok(Verdict::Denied(counts)));
            }
            let mut keys = Vec::new();
            for (charge, count) in request.charges.iter().zip(&mut counts) {
                let (key, measure) = (key(&charge.counter), charge.counter.limit.measure());
                count.held += measure.held(request.units);
                books.counts.insert(key.clone(), *count);
                keys.push((key, measure));
            }
            books.holds.insert(request.id, (keys, request.units));
        }
        Answer::Ready(Ok(Verdict::Granted(Hold::new(request.id, self.0.clone()), counts)))
    }

    fn read(&self, counters: &[Counter<'_>]) -> Answer<Result<Vec<Count>, StoreError>> {
        let books = self.books();
        Answer::Ready(Ok(counters.iter().map(|counter| books.count(counter)).collect()))
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        _now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        let mut books = self.books();
        for counter in counters {
            let mut count = books.count(counter);
            count.used = change.applied_to(count.used);
            books.counts.insert(key(counter), count);
        }
        Answer::Ready(Ok(()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let plan = Plan::new("free").feature("remix", [Limit::new(2, Window::Day)]);
    let quotas = Quotas::builder().plan(plan).store(MapStore::default()).build()?;
    for attempt in 1..4 {
        match quotas.reserve(&Profile::new("7", "free"), "remix", 1).await? {
            Decision::Granted(reservation) => reservation.commit(),
            Decision::Denied(denial) => {
                println!("remix {attempt} is denied until {:?}", denial.resets_at());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tower_quota::contract::Subject;
    use tower_quota::{Clock, ManualClock, SystemClock};

    use super::MapStore;

    struct Maps(MapStore, ManualClock);

    impl Subject for Maps {
        type Books = MapStore;

        async fn open(&self) -> MapStore {
            self.0.clone()
        }

        fn clock(&self) -> &ManualClock {
            &self.1
        }
    }

    tower_quota::contract!(Store: Maps(MapStore::default(), ManualClock::at(SystemClock.now().into())));
}

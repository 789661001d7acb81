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
use tower_quota::{
    Buckets, Count, Counts, Decision, Limit, Measure, Plan, Profile, Quotas, Refunds,
};
use tower_quota::{Span, Spent, StoreError, Timestamp, Window};

/// Which count it is: whose, of which limit, from when on. It is kept in parts: joined to one text,
/// some id would come that blends into another.
type Key = (Name, Timestamp);
type Name = (Vec<u8>, String);

fn name(counter: &Counter<'_>) -> Name {
    (counter.scope.as_bytes().to_vec(), counter.limit.as_str().to_owned())
}

fn key(counter: &Counter<'_>, window: Span) -> Key {
    (name(counter), window.start)
}

/// A count, what makes it up where its window rolls, and what was refunded of it.
#[derive(Clone, Debug)]
struct Page {
    count: Count,
    measure: Measure,
    buckets: Option<Buckets>,
    refunds: Refunds,
}

/// An open hold.
#[derive(Debug)]
struct Held {
    /// Its counts, each with the cap on refunds that it was reserved under.
    parts: Vec<(Key, Option<u64>)>,
    units: u64,
    at: Timestamp,
}

/// All counts, and the holds that are still open.
#[derive(Debug, Default)]
struct Books {
    pages: HashMap<Key, Page>,
    /// The last windows of limits that follow the profile's calendar.
    last: HashMap<Name, Span>,
    holds: HashMap<HoldId, Held>,
}

impl Books {
    /// A count as it is now.
    fn page(&self, counter: &Counter<'_>, now: Timestamp) -> Page {
        let last = self.last.get(&name(counter));
        let window = last.map_or(counter.window, |last| counter.window_after(*last, now));
        let known = self.pages.get(&key(counter, window)).cloned();
        let mut page = known.unwrap_or_else(|| Page {
            count: Count::unused(window),
            measure: counter.limit.measure(),
            buckets: counter.limit.rolling().map(|rolling| Buckets::new(rolling, now)),
            refunds: Refunds::new(counter.limit.rolling(), now),
        });
        page.refunds.advance(now);
        if let Some(buckets) = &mut page.buckets {
            buckets.advance(now);
            page.count.used = buckets.sum();
        }
        page.look_ahead(1);
        page
    }

    fn put(&mut self, counter: &Counter<'_>, page: Page) -> Key {
        let window = page.count.window;
        if counter.limit.longest_window().is_some() {
            self.last.insert(name(counter), window);
        }
        let key = key(counter, window);
        self.pages.insert(key.clone(), page);
        key
    }
}

impl Page {
    /// Where the window rolls, it ends when so many units have come back.
    fn look_ahead(&mut self, units: u64) {
        if let Some(buckets) = &self.buckets {
            self.count.window.end = buckets.come_back_at(units.max(1), self.count.held);
        }
    }

    /// Settles a hold. Where a refund is made under a cap, it counts.
    fn settle(&mut self, hold: &Held, spent: Spent, cap: Option<u64>) {
        if spent == Spent::Refund && cap.is_some() {
            self.refunds.add(hold.at, self.measure.held(hold.units));
        }
        let used = self.count.used;
        self.count.settle(self.measure, hold.units, spent.decided(true));
        if let Some(buckets) = &mut self.buckets {
            // To where it was reserved, however late.
            buckets.add(hold.at, self.count.used - used);
        }
    }
}

/// The books, which open holds share with the store: they find back to them when they end.
#[derive(Debug, Default)]
struct Ledger(Mutex<Books>);

impl Settle for Ledger {
    fn settle(&self, id: HoldId, spent: Spent) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(hold) = books.holds.remove(&id) else { return };
        // Refunded as a whole, or spent as a whole.
        let refunds = hold.parts.iter().all(|(key, cap)| {
            let (Some(page), Some(cap)) = (books.pages.get(key), cap) else { return true };
            page.refunds.admits(page.measure.held(hold.units), *cap)
        });
        let spent = if refunds { spent } else { spent.decided(false) };
        for (key, cap) in &hold.parts {
            if let Some(page) = books.pages.get_mut(key) {
                page.settle(&hold, spent, *cap);
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
        let page = |charge: &Charge<'_>| books.page(&charge.counter, request.now);
        let mut pages: Vec<Page> = request.charges.iter().map(page).collect();
        let counts = |pages: &[Page]| -> Counts { pages.iter().map(|page| page.count).collect() };
        // The same id again is the same grant.
        if !books.holds.contains_key(&request.id) {
            let mut each = request.charges.iter().zip(&pages);
            if !each.all(|(charge, page)| charge.admits(&page.count, request.units)) {
                for (charge, page) in request.charges.iter().zip(&mut pages) {
                    page.look_ahead(charge.missing(&page.count, request.units));
                }
                return Answer::Ready(Ok(Verdict::Denied(counts(&pages))));
            }
            let (mut parts, mut at) = (Vec::new(), request.now);
            for (charge, page) in request.charges.iter().zip(&mut pages) {
                page.count.held += page.measure.held(request.units);
                page.look_ahead(1);
                // Should the clock have been set back, it counts from the newest step.
                at = page.buckets.as_ref().map_or(at, |buckets| buckets.counts_from(at));
                parts.push((books.put(&charge.counter, page.clone()), charge.refunds));
            }
            let hold = Held { parts, units: request.units, at };
            books.holds.insert(request.id, hold);
        }
        let hold = Hold::new(request.id, self.0.clone());
        Answer::Ready(Ok(Verdict::Granted(hold, counts(&pages))))
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        let books = self.books();
        let count = |charge: &Charge<'_>| {
            let mut page = books.page(&charge.counter, now);
            page.look_ahead(charge.missing(&page.count, units));
            page.count
        };
        Answer::Ready(Ok(charges.iter().map(count).collect()))
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        let mut books = self.books();
        for counter in counters {
            let mut page = books.page(counter, now);
            let (before, used) = (page.count.used, change.applied_to(page.count.used));
            page.count.used = used;
            if let Some(buckets) = &mut page.buckets {
                buckets.add(buckets.counts_from(now), used.saturating_sub(before));
                buckets.take(before.saturating_sub(used));
            }
            books.put(counter, page);
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

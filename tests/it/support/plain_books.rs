//! Books outside of this process, though in maps under one lock: what the contract of remote books
//! is tried on.
//!
//! They notice late what has lapsed, a few holds at a time, and forget what nobody will miss, as
//! databases do.

mod page;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tower_quota::store::{
    Held, HoldId, Lease, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteOpening,
    RemoteReserve, RemoteSettlement, RemoteVerdict, Renewal,
};
use tower_quota::{Clock, Count, Counts, ManualClock, Span, StoreError, Timestamp};

use self::page::{Entry, Page};

/// A handle of the books. Its clones are other handles of the same.
#[derive(Clone, Debug)]
pub(crate) struct PlainBooks {
    pages: Arc<Mutex<HashMap<Vec<u8>, Page>>>,
    windows: Arc<Mutex<HashMap<Vec<u8>, Span>>>,
    clock: ManualClock,
    lease: Lease,
}

impl PlainBooks {
    pub(crate) fn new(clock: ManualClock) -> Self {
        Self { pages: Arc::default(), windows: Arc::default(), clock, lease: Lease::default() }
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Page>> {
        self.pages.lock().unwrap()
    }

    fn is_over(&self, instant: Timestamp) -> bool {
        instant.saturating_add(self.lease.keep) <= self.clock.now()
    }

    /// The page of a counter with all that has lapsed by now, or a new one.
    fn page(
        &self,
        pages: &HashMap<Vec<u8>, Page>,
        counter: &RemoteCounter,
    ) -> Result<Page, StoreError> {
        let known = pages.get(&counter.key()).cloned();
        if self.is_over(counter.window.end) {
            return Err(StoreError::clock_skew(counter.window.end));
        }
        let mut page = known.unwrap_or_else(|| Page::new(counter, self.clock.now()));
        page.notice(self.clock.now());
        Ok(page)
    }
}

fn granted(page: &Page, counter: &RemoteCounter) -> Count {
    looking_ahead(page, counter, 1)
}

/// A count as it is told to whoever is denied so many units.
fn denied(page: &Page, charge: &RemoteCharge, units: u64) -> Count {
    let missing = charge.missing(&granted(page, &charge.counter), units);
    looking_ahead(page, &charge.counter, missing)
}

/// A count, and when so many units come back, where the window rolls.
fn looking_ahead(page: &Page, counter: &RemoteCounter, units: u64) -> Count {
    let mut window = counter.window;
    if let Some(buckets) = &page.buckets {
        window.end = buckets.come_back_at(units.max(1), page.held);
    }
    Count { used: page.used, held: page.held, window }
}

impl RemoteBooks for PlainBooks {
    fn lease(&self) -> Lease {
        self.lease
    }

    async fn reserve(&self, request: &RemoteReserve) -> Result<RemoteVerdict, StoreError> {
        let (mut pages, now) = (self.pages(), self.clock.now());
        let latest = now.saturating_add(request.patience);
        if !(now..=latest).contains(&request.not_after) {
            return Ok(RemoteVerdict { held: Held::Stale, now });
        }
        let mut touched = Vec::new();
        let (mut admitted, mut repeated) = (true, false);
        for charge in request.charges.iter() {
            let page = self.page(&pages, &charge.counter)?;
            admitted &= page.admits(charge, request.units);
            repeated |= page.entries.contains_key(&request.id);
            touched.push((charge, page));
        }
        let new = admitted && !repeated;
        let mut counts = Counts::new();
        for (charge, mut page) in touched {
            if new {
                let (units, lapse) = (charge.units(request.units), charge.lapse(request.lapse));
                let deadline = now.saturating_add(self.lease.length);
                let buckets = page.buckets.as_ref();
                let made_at = buckets.map_or(now, |buckets| buckets.counts_from(now));
                let entry = Entry { units, lapse, made_at, deadline, lapsed: false };
                page.entries.insert(request.id, entry);
                page.held += units;
            }
            counts.push(if admitted || repeated {
                granted(&page, &charge.counter)
            } else {
                denied(&page, charge, request.units)
            });
            if new {
                pages.insert(charge.counter.key(), page);
            }
        }
        let held = if admitted || repeated { Held::Granted(counts) } else { Held::Denied(counts) };
        Ok(RemoteVerdict { held, now })
    }

    async fn settle(&self, batch: &[RemoteSettlement]) -> Result<Vec<HoldId>, StoreError> {
        let (mut pages, now) = (self.pages(), self.clock.now());
        let mut early = Vec::new();
        for settlement in batch {
            if settlement.after.is_some_and(|after| now <= after) {
                early.push(settlement.id);
                continue;
            }
            for charge in settlement.counters.iter() {
                if let Some(page) = pages.get_mut(&charge.counter.key()) {
                    page.notice(now);
                    page.settle(settlement.id, charge.spent(settlement.spent));
                }
            }
        }
        Ok(early)
    }

    async fn renew(&self, batch: &[Renewal]) -> Result<(), StoreError> {
        let (mut pages, now) = (self.pages(), self.clock.now());
        let renewed = now.saturating_add(self.lease.length);
        for renewal in batch {
            for charge in renewal.counters.iter() {
                let Some(page) = pages.get_mut(&charge.counter.key()) else { continue };
                let entry = page.entries.get_mut(&renewal.id);
                if let Some(entry) = entry.filter(|entry| now < entry.deadline) {
                    entry.deadline = entry.deadline.max(renewed);
                }
            }
        }
        Ok(())
    }

    async fn read(&self, charges: &[RemoteCharge], units: u64) -> Result<Vec<Count>, StoreError> {
        let pages = self.pages();
        let read =
            |charge: &RemoteCharge| Ok(denied(&self.page(&pages, &charge.counter)?, charge, units));
        charges.iter().map(read).collect()
    }

    async fn change(&self, change: &RemoteChange) -> Result<(), StoreError> {
        let mut pages = self.pages();
        let mut touched = Vec::new();
        for counter in &change.counters {
            let mut page = self.page(&pages, counter)?;
            let seen = page.seen.entry(change.nonce).or_default();
            if *seen < change.sequence {
                *seen = change.sequence;
                page.change(change.change, self.clock.now());
            }
            touched.push((counter.key(), page));
        }
        pages.extend(touched);
        Ok(())
    }

    async fn open(&self, opening: &RemoteOpening) -> Result<Span, StoreError> {
        opening.check_clock(self.clock.now(), self.lease)?;
        let mut windows = self.windows.lock().unwrap();
        let key = opening.counter.key_of_all_windows();
        let last = windows.get(&key).filter(|last| last.end > opening.after);
        let window = *last.unwrap_or(&opening.counter.window);
        windows.insert(key, window);
        Ok(window)
    }

    async fn last(&self, counters: &[RemoteCounter]) -> Result<Vec<Option<Span>>, StoreError> {
        let windows = self.windows.lock().unwrap();
        let last = |it: &RemoteCounter| windows.get(&it.key_of_all_windows()).copied();
        Ok(counters.iter().map(last).collect())
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    async fn sweep(&self, at_most: u32) -> Result<u32, StoreError> {
        let (mut pages, now) = (self.pages(), self.clock.now());
        let mut swept = 0;
        for page in pages.values_mut() {
            page.notice(now);
            swept += page.forget(|deadline| self.is_over(deadline), at_most - swept);
        }
        pages.retain(|_, page| {
            let stays = swept == at_most || !page.entries.is_empty() || !self.is_over(page.ends_at);
            swept += u32::from(!stays);
            stays
        });
        Ok(swept)
    }
}

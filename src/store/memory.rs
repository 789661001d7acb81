//! The books of one process, the default.

use std::fmt;

use super::Store;
use super::answer::Answer;
use super::hold::Hold;
use super::home::Homes;
use super::ledger::Ledger;
use super::ledgers::{self, Seats};
use super::request::{Change, Charge, Counter, Reserve, Verdict};
use crate::clock::Timestamp;
use crate::count::{Count, Counts};
use crate::error::StoreError;

/// Counts and holds in this process's memory.
///
/// All counts of a profile, of a tenant, or of everyone lie under one lock, which each shares with one
/// in 256 others; no lock is global. Where a request takes from several, it has their locks at once. A
/// count is kept while its window is open, so memory grows with the profiles that are active in one
/// window: 110 to 200 bytes for each of their limits, for tables grow by doubling, and 550 more where a
/// window rolls. Closed windows are swept a few at a time by the calls that open new ones; no background
/// work is needed.
///
/// Where windows [follow the profile's calendar](crate::Limit::profile_calendar), the last one is kept as
/// long again.
///
/// A clock that is set back is safe: a window that is still remembered (a minute longer than it is
/// open) goes on, and one that is not is an error, until the clock has caught up with its end.
///
/// A restart forgets everything.
#[derive(Default)]
pub struct MemoryStore(Homes);

impl MemoryStore {
    /// Empty books.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn reserve_now(&self, request: &Reserve<'_>) -> Result<Verdict, StoreError> {
        let stripes = self.0.stripes();
        let mut counts = Counts::new();
        counts.reserve_exact(request.charges.len());
        let mut seats = Seats::new();
        stripes.seat(request.charges.iter().map(|charge| charge.counter.scope), &mut seats);
        let (home, granted) = match seats.first().map(|seat| seat.stripe) {
            Some(only) if seats.iter().all(|seat| seat.stripe == only) => {
                let ledger = &mut *stripes.ledger(only);
                (only, ledgers::reserve(ledger, &mut seats, only, request, &mut counts)?)
            }
            _ => {
                let mut locked = stripes.lock(&seats);
                let home = locked.first();
                (home, ledgers::reserve(&mut locked, &mut seats, home, request, &mut counts)?)
            }
        };
        Ok(if granted {
            Verdict::Granted(Hold::new(request.id, self.0.of(home)), counts)
        } else {
            Verdict::Denied(counts)
        })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |count: fn(&Ledger) -> usize| -> usize {
            self.0.stripes().all().map(|ledger| count(&ledger)).sum()
        };
        f.debug_struct("MemoryStore")
            .field("counters", &sum(Ledger::counters))
            .field("holds", &sum(Ledger::holds))
            .finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        Answer::Ready(self.reserve_now(&request))
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        let stripes = self.0.stripes();
        let mut seats = Seats::new();
        stripes.seat(charges.iter().map(|charge| charge.counter.scope), &mut seats);
        let mut locked = stripes.lock(&seats);
        Answer::Ready(ledgers::read(&mut locked, &mut seats, charges, units, now))
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        let stripes = self.0.stripes();
        let mut seats = Seats::new();
        stripes.seat(counters.iter().map(|counter| counter.scope), &mut seats);
        let mut locked = stripes.lock(&seats);
        Answer::Ready(ledgers::change(&mut locked, &mut seats, counters, change, now))
    }
}

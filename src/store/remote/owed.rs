//! What was spent of the local share, and has to be charged to the books outside.

use std::collections::{HashMap, VecDeque};
use std::error::Error as StdError;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::sleep;

use super::backlog::Backlog;
use super::backoff::pause;
use super::beats::Beats;
use super::link::Link;
use super::windows::window_to_charge;
use crate::count::Spent;
use crate::error::StoreError;
use crate::store::books::{RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter};
use crate::store::hold::random;
use crate::store::request::Change;

/// How many charges are sent at a time.
const PIPELINE: usize = 16;

/// What was spent of the share, and is not in the books outside yet.
#[derive(Debug, Default)]
pub(super) struct Owed {
    charges: Mutex<HashMap<RemoteCounter, u64>>,
    /// How many charges are owed, those included that are being paid.
    count: watch::Sender<usize>,
}

impl Owed {
    /// Adds what was spent of a hold of so many units.
    pub(super) fn add(&self, charges: &[RemoteCharge], units: u64, spent: Spent) {
        let mut owed = self.charges();
        let before = owed.len();
        for charge in charges {
            let measure = charge.counter.limit.measure();
            match spent.counted(measure).units(measure.held(units)) {
                0 => {}
                spent => {
                    let sum = owed.entry(charge.counter.clone()).or_default();
                    *sum = sum.saturating_add(spent);
                }
            }
        }
        let new = owed.len().saturating_sub(before);
        drop(owed);
        self.count.send_modify(|count| *count = count.saturating_add(new));
    }

    /// Takes what is owed, as charges that stay what they are. They count until they are
    /// [done with](Self::end).
    fn take(&self) -> impl Iterator<Item = Owing> {
        let charges = mem::take(&mut *self.charges());
        charges.into_iter().map(|(counter, units)| Owing::new(counter, units))
    }

    fn end(&self, charges: usize) {
        self.count.send_modify(|count| *count = count.saturating_sub(charges));
    }

    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Resolves when nothing is owed.
    pub(super) async fn is_paid(&self) {
        self.counts(|count| count == 0).await;
    }

    pub(super) fn debt(&self) -> Option<Debt> {
        let charges = self.count();
        (charges > 0).then_some(Debt(charges))
    }

    async fn counts(&self, is_so: impl Fn(usize) -> bool) {
        // It can only fail without a sender, which is here.
        let _ = self.count.subscribe().wait_for(|count| is_so(*count)).await;
    }

    fn charges(&self) -> MutexGuard<'_, HashMap<RemoteCounter, u64>> {
        self.charges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges what is owed to the books outside, once they are back, as long as it is polled.
    ///
    /// A charge is sent until it is known to be written, always with the same number and the same
    /// units. Those that fail go to the end of the queue, so that none holds up the others. One that
    /// may have arrived is given up while books still remember it: later they might make it again.
    pub(super) async fn pay<B: RemoteBooks>(
        &self,
        link: &Link<B>,
        beats: &Beats,
        backlog: &Backlog,
    ) {
        // Half of the time, for clocks may differ.
        let patience = beats.within(RemoteChange::REMEMBERED.checked_div(2).unwrap_or_default());
        let mut waiting: VecDeque<Owing> = VecDeque::new();
        let mut failures = 0;
        loop {
            self.counts(|count| count > 0).await;
            link.breaker.closed().await;
            waiting.extend(self.take());
            let now = beats.now();
            let mut under_way: Vec<_> = waiting.drain(..PIPELINE.min(waiting.len())).collect();
            let all = under_way.len();
            under_way.retain(|owing| owing.has_patience(now, patience));
            for _ in under_way.len()..all {
                backlog.lose_one();
            }
            let paid = join_all(under_way.iter_mut().map(|owing| owing.send(link, now))).await;
            let unpaid: Vec<_> =
                under_way.into_iter().zip(&paid).filter(|(_, paid)| !**paid).collect();
            self.end(all.saturating_sub(unpaid.len()));
            if unpaid.is_empty() {
                failures = 0;
                continue;
            }
            waiting.extend(unpaid.into_iter().map(|(owing, _)| owing));
            failures = u32::saturating_add(failures, 1);
            sleep(pause(failures)).await;
        }
    }
}

/// A charge that is owed.
struct Owing {
    charge: RemoteChange,
    /// The beat at which it was first sent, if it was.
    sent: Option<u64>,
}

impl Owing {
    fn new(counter: RemoteCounter, units: u64) -> Self {
        let charge = RemoteChange {
            nonce: random(),
            sequence: 1,
            counters: vec![counter],
            change: Change::Debit(units),
        };
        Self { charge, sent: None }
    }

    fn has_patience(&self, now: u64, patience: u64) -> bool {
        self.sent.is_none_or(|sent| now.saturating_sub(sent) < patience)
    }

    /// Sends it. Whether it is done with.
    async fn send<B: RemoteBooks>(&mut self, link: &Link<B>, now: u64) -> bool {
        let sent = async {
            self.find_windows(link).await?;
            self.sent.get_or_insert(now);
            link.change(&self.charge).await
        };
        match sent.await {
            Ok(()) => true,
            // Its window is forgotten, and so is all that it could have been counted for.
            Err(error) => error.is_clock_skew(),
        }
    }

    /// Finds the windows to charge, once: what is sent is the same each time.
    async fn find_windows<B: RemoteBooks>(&mut self, link: &Link<B>) -> Result<(), StoreError> {
        for counter in &mut self.charge.counters {
            if counter.limit.longest_window().is_some() {
                counter.window = window_to_charge(link, counter).await?;
                counter.limit = Arc::new(counter.limit.of_named_windows());
            }
        }
        Ok(())
    }
}

/// Charges of the local share are not in the books yet.
#[derive(Debug)]
pub(super) struct Debt(usize);

impl fmt::Display for Debt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the local share owes {} charges", self.0)
    }
}

impl StdError for Debt {}

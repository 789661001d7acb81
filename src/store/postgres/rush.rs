//! Many calls that hold units of the same counter: they are done one after the other, or several in
//! one transaction, rather than wait for each other's locks.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::timeout;

use super::session::{Session, failure};
use crate::store::books::RemoteReserve;
use crate::store::sql::draft::Key;
use crate::store::sql::job::{Ask, Job, answer_all};
use crate::store::sql::line::Worker;

/// How many calls are done in one transaction.
const TOGETHER: usize = 16;

type Line = crate::store::sql::line::Line<Ask<RemoteReserve>>;

/// A call, as a line hands it out.
type Call = Box<Ask<RemoteReserve>>;

/// A line for each counter that somebody is about to hold units of.
#[derive(Default)]
pub(super) struct Rush(Mutex<HashMap<Key, Place>>);

/// A line, and how many seats there are.
#[derive(Default)]
struct Place {
    line: Arc<Line>,
    seats: usize,
}

/// A seat at the line of a counter, the one with the most seats of those that a call needs. The line
/// is there as long as somebody has one.
pub(super) struct Seat {
    pub(super) line: Arc<Line>,
    rush: Arc<Rush>,
    key: Key,
    /// The call's other counters: calls that share one of them are to meet.
    others: Vec<Key>,
}

impl Rush {
    /// A seat for a call that needs counters, if it needs any.
    pub(super) fn enter(self: &Arc<Self>, mut keys: Vec<Key>) -> Option<Seat> {
        let mut places = self.places();
        for key in &keys {
            let place = places.entry(key.clone()).or_default();
            place.seats = place.seats.saturating_add(1);
        }
        let seats = |key: &Key| places.get(key).map_or(0, |place| place.seats);
        keys.sort_by_key(seats);
        let key = keys.pop()?;
        let line = places.get(&key)?.line.clone();
        Some(Seat { line, rush: self.clone(), key, others: keys })
    }

    fn leave(&self, key: &Key) {
        let mut places = self.places();
        if let Some(place) = places.get_mut(key) {
            place.seats = place.seats.saturating_sub(1);
            if place.seats == 0 {
                places.remove(key);
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Key, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Another seat at the same line, for whoever works there.
    pub(super) fn beside(&self) -> Option<Self> {
        self.rush.enter(vec![self.key.clone()])
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.rush.leave(&self.key);
        for key in &self.others {
            self.rush.leave(key);
        }
    }
}

impl Session {
    /// Does what stands in line, until nothing does.
    pub(super) async fn rush(
        self: Arc<Self>,
        mut worker: Worker<Ask<RemoteReserve>>,
        _seat: Option<Seat>,
    ) {
        while let Some(asks) = worker.next(TOGETHER) {
            match <[_; 1]>::try_from(asks) {
                Ok([ask]) => self.reserve_alone(ask).await,
                Err(asks) => self.reserve_together(asks).await,
            }
        }
    }

    async fn reserve_alone(&self, ask: Call) {
        match self.in_time(self.reserve_one(ask.verb())).await.map_err(failure) {
            Ok(Some(verdict)) => ask.answer(Ok(verdict)),
            Ok(None) => self.reserve_together(vec![ask]).await,
            Err(failure) => ask.failed(&failure),
        }
    }

    async fn reserve_together(&self, mut asks: Vec<Call>) {
        let written = self.in_time(self.write(&mut asks)).await.map_err(failure);
        answer_all(asks, written);
    }

    /// Gives work up after as long as its callers wait: whoever comes next stands in line behind it.
    async fn in_time<T>(&self, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let too_long = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
        timeout(self.timeout, work).await.unwrap_or_else(too_long)
    }
}

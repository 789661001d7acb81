//! Many calls that hold units of the same counter: they are done one after the other, or several in
//! one transaction, rather than wait for each other's locks.

use std::collections::HashMap;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lent::Lent;
use super::session::{Session, failure, was_too_slow};
use super::short_way::Short;
use crate::store::books::RemoteReserve;
use crate::store::sql::draft::Key;
use crate::store::sql::job::{Ask, answer_all};
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

    /// Whether somebody is about to hold units of one of these counters here.
    pub(super) fn is_at(&self, keys: &[Key]) -> bool {
        let places = self.places();
        keys.iter().any(|key| places.contains_key(key))
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
        loop {
            // The connection first: who comes while it is waited for is done together with the rest.
            let lent = self.lend().await.map_err(failure);
            let Some(mut asks) = worker.next(TOGETHER).await else {
                return;
            };
            let done = match lent {
                Ok(lent) => self.in_time(self.reserve(lent, &mut asks)).await.map_err(failure),
                Err(failure) => Err(failure),
            };
            answer_all(asks, done);
        }
    }

    /// Does calls, together if they are several. If together they wait too long for a lock that only
    /// some of them need, the others are done all the same. Those that are answered are taken out.
    async fn reserve(&self, mut lent: Lent, asks: &mut Vec<Call>) -> sqlx::Result<()> {
        self.reserve_same(&mut lent, asks).await?;
        match asks.as_mut_slice() {
            [] => return Ok(()),
            [_] => return self.write_with(&mut lent, &self.begins.alone, asks).await,
            _ => {}
        }
        match self.write_with(&mut lent, &self.begins.together, asks).await {
            Err(error) if was_too_slow(&error) => self.reserve_each(&mut lent, asks).await,
            written => return written,
        }
        Ok(())
    }

    /// Does calls in one statement that waits, if all are of the same counter: nobody waits for what
    /// somebody else needs.
    async fn reserve_same(&self, lent: &mut Lent, asks: &mut Vec<Call>) -> sqlx::Result<()> {
        let calls: Vec<_> = asks.iter().filter_map(|ask| Short::of(ask.verb(), self)).collect();
        let mut keys: Vec<_> = calls.iter().map(Short::key).collect();
        keys.dedup();
        if calls.len() < asks.len() || keys.len() != 1 {
            return Ok(());
        }
        let verdicts = self.reserve_short(lent, &self.statements.reserve, &calls).await?;
        let (mut granted, mut others) = (Vec::new(), Vec::new());
        for (mut ask, verdict) in asks.drain(..).zip(verdicts) {
            if let Some(verdict) = verdict {
                ask.set(verdict);
                granted.push(ask);
            } else {
                others.push(ask);
            }
        }
        *asks = others;
        answer_all(granted, Ok(()));
        Ok(())
    }

    async fn reserve_each(&self, lent: &mut Lent, asks: &mut Vec<Call>) {
        asks.reverse();
        while let Some(ask) = asks.last_mut() {
            let begin = &self.begins.again;
            let written = self.write_with(lent, begin, slice::from_mut(ask)).await;
            answer_all(asks.pop().into_iter().collect(), written.map_err(failure));
        }
    }
}

//! The part of the background work that decides and writes settlements.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::select;
use tokio::time::sleep;

use super::backlog::Backlog;
use super::backoff::pause;
use super::batch::{Batch, Undecided};
use super::beats::Beats;
use super::link::Link;
use super::offset::Offset;
use super::refund::Decided;
use crate::error::StoreError;
use crate::store::books::RemoteBooks;
use crate::store::hold::HoldId;

/// How many batches are under way at a time.
const PIPELINE: usize = 4;

/// How many settlements are decided at a time.
const DECIDED: usize = 64;

/// So long after one batch the next one is taken, unless it is [pressing](Backlog::is_pressing). Nobody
/// waits for it, and what a batch costs is shared by all that are in it.
const GATHERING: Duration = Duration::from_millis(4);

/// So many settlements stay together though they fail again, if that may pass.
const FEW: usize = 16;

/// Before settlements that came too early are sent again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// Writes what is in the backlog, as soon as it is there, or shortly after what was there before it,
/// and again until it is written.
pub(super) struct Settler<'a, B> {
    pub(super) link: &'a Link<B>,
    pub(super) backlog: &'a Backlog,
    pub(super) beats: &'a Beats,
    pub(super) offset: &'a Offset,
    /// How many beats a settlement is tried for: after that, the books have forgotten its hold.
    pub(super) patience: u64,
}

impl<B: RemoteBooks> Settler<'_, B> {
    /// Works until nothing is left to do, now and later.
    ///
    /// A batch that failed waits outside of the pipeline, so that it does not hold up others.
    pub(super) async fn run(&self) {
        let mut writing = FuturesUnordered::new();
        let mut pausing = FuturesUnordered::new();
        let mut deciding = FuturesUnordered::new();
        let mut undecided = FuturesUnordered::new();
        let mut beat = self.beats.listen();
        // After which more will have gathered than when the last batch was taken.
        let gathering = sleep(Duration::ZERO);
        tokio::pin!(gathering);
        while !self.backlog.is_done() {
            let away = self.link.breaker.is_open();
            let mut is_free = !away && writing.len() < PIPELINE;
            while is_free && (gathering.is_elapsed() || self.backlog.is_pressing()) {
                let Some(batch) = self.backlog.take() else { break };
                gathering.set(sleep(GATHERING));
                writing.push(self.write(batch));
                is_free = writing.len() < PIPELINE;
            }
            let is_gathering = is_free && !gathering.is_elapsed();
            while !away && deciding.len() < DECIDED {
                let Some(undecided) = self.backlog.take_undecided() else { break };
                deciding.push(self.decide(undecided));
            }
            select! {
                Some((batch, answer)) = writing.next() => {
                    for (batch, pause) in self.unwritten(batch, answer) {
                        pausing.push(wait(batch, pause));
                    }
                }
                Some(batch) = pausing.next() => {
                    self.backlog.put_back(batch);
                    self.give_up();
                }
                Some((refund, answer)) = deciding.next() => {
                    if let Some((refund, pause)) = self.undecided(refund, answer) {
                        undecided.push(wait(refund, pause));
                    }
                }
                Some(refund) = undecided.next() => {
                    self.backlog.put_back_undecided(refund);
                    self.give_up();
                }
                () = self.backlog.changed() => {}
                () = &mut gathering, if is_gathering => {}
                () = self.link.breaker.closed(), if away => {}
                Ok(()) = beat.changed() => self.give_up(),
            }
        }
    }

    /// Gives up what has been tried for too long.
    fn give_up(&self) {
        if let Some(last) = self.beats.now().checked_sub(self.patience) {
            self.backlog.give_up(last);
        }
    }

    async fn decide(&self, refund: Undecided) -> (Undecided, Result<Decided, StoreError>) {
        let answer = refund.refund.decide(self.link, self.offset).await;
        (refund, answer)
    }

    /// One that could not be decided, and how long it has to wait.
    fn undecided(
        &self,
        mut refund: Undecided,
        answer: Result<Decided, StoreError>,
    ) -> Option<(Undecided, Duration)> {
        if let Ok(decided) = answer {
            self.backlog.decided(&refund, decided);
            return None;
        }
        refund.failures = refund.failures.saturating_add(1);
        let pause = pause(refund.failures);
        Some((refund, pause))
    }

    async fn write(&self, batch: Batch) -> (Batch, Result<Vec<HoldId>, StoreError>) {
        let answer = self.link.settle(&batch.settlements).await;
        (batch, answer)
    }

    /// What is left of a batch, and how long it has to wait.
    fn unwritten(
        &self,
        mut batch: Batch,
        answer: Result<Vec<HoldId>, StoreError>,
    ) -> Vec<(Batch, Duration)> {
        match answer {
            Ok(early) => {
                // Nobody says how much too early: at most about two time-outs.
                let pause =
                    self.link.timeout.checked_div(2).unwrap_or_default().max(SHORTEST_PAUSE);
                let rest = self.backlog.written(batch, &early);
                rest.into_iter().map(|rest| (rest, pause)).collect()
            }
            Err(error) => {
                batch.failures = batch.failures.saturating_add(1);
                let again = batch.failures > 1 && batch.settlements.len() > FEW;
                let splits = again || !error.is_transient();
                let half = splits.then(|| self.backlog.halve(&mut batch)).flatten();
                let parts = [Some(batch), half].into_iter().flatten();
                parts
                    .map(|part| {
                        let pause = pause(part.failures);
                        (part, pause)
                    })
                    .collect()
            }
        }
    }
}

async fn wait<T>(waiting: T, pause: Duration) -> T {
    sleep(pause).await;
    waiting
}

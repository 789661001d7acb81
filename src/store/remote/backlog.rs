//! Settlements that have been handed over and are not written yet, and who waits for them.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::batch::Batch;
use crate::store::books::RemoteSettlement;
use crate::store::hold::HoldId;

/// A bounded queue of settlements which knows how many are not written, also of those that have
/// been taken out of it.
pub(super) struct Backlog {
    bound: usize,
    state: Mutex<State>,
    /// Something was put into the queue, or it was closed.
    changed: Notify,
    /// The oldest epoch of which something is not written. An epoch is what was handed over between
    /// two flushes.
    oldest: watch::Sender<u64>,
    /// Whether nothing will be written any more.
    ended: AtomicBool,
}

struct State {
    queue: VecDeque<Batch>,
    /// How many settlements are not written.
    total: usize,
    /// The same for each epoch, from the oldest to the present.
    unwritten: VecDeque<usize>,
    oldest: u64,
    /// How many were ever written.
    written: u64,
    /// Settlements given up since the last flush.
    lost: u64,
    /// Whether nobody is left who could hand something over.
    abandoned: bool,
}

impl Backlog {
    pub(super) fn new(bound: usize) -> Self {
        let state = State {
            queue: VecDeque::new(),
            total: 0,
            unwritten: VecDeque::from([0]),
            oldest: 0,
            written: 0,
            lost: 0,
            abandoned: false,
        };
        Self {
            bound,
            state: Mutex::new(state),
            changed: Notify::new(),
            oldest: watch::Sender::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Queues a settlement, or counts it as lost where there is no room or nobody to write it.
    pub(super) fn hand_over(&self, settlement: RemoteSettlement, beat: u64) {
        let mut state = self.state();
        if self.has_ended() || state.total >= self.bound {
            state.lose(1);
            return;
        }
        let epoch = state.count_new();
        match state.queue.back_mut() {
            Some(last) if last.takes(epoch) => last.add(settlement, beat),
            _ => state.queue.push_back(Batch::of(settlement, epoch, beat)),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The next settlements to write, all that there are up to a batch.
    pub(super) fn take(&self) -> Option<Batch> {
        self.state().queue.pop_front()
    }

    /// Whether what comes next is not to wait for others to join it, for one because somebody flushes.
    pub(super) fn is_pressing(&self) -> bool {
        let state = self.state();
        let next = state.queue.front();
        next.is_some_and(|it| it.is_pressing() || it.epoch < state.present() || state.abandoned)
    }

    /// Queues settlements again that were taken.
    pub(super) fn put_back(&self, batch: Batch) {
        self.state().queue.push_back(batch);
    }

    /// Those of a batch have been written that did not come too early. Gives the others.
    pub(super) fn written(&self, mut batch: Batch, early: &[HoldId]) -> Option<Batch> {
        let all = batch.settlements.len();
        batch.settlements.retain(|settlement| early.contains(&settlement.id));
        let written = all.saturating_sub(batch.settlements.len());
        let mut state = self.state();
        state.finish(batch.epoch, written);
        state.written = state.written.saturating_add(count(written));
        let oldest = state.oldest;
        drop(state);
        self.announce(oldest);
        (!batch.settlements.is_empty()).then_some(batch)
    }

    /// Takes half of a batch that could not be written: if it is because of one of it, the others
    /// shall not share its fate. Where nothing else was written since it was halved, nothing
    /// can be, and more and smaller batches would only keep them busy.
    pub(super) fn halve(&self, batch: &mut Batch) -> Option<Batch> {
        let written = self.state().written;
        let before = batch.refused_at.replace(written);
        before.is_none_or(|before| before < written).then(|| batch.split_off_half()).flatten()
    }

    /// Gives up what is in the queue since `beat` or longer.
    pub(super) fn give_up(&self, beat: u64) {
        let mut state = self.state();
        let queue = mem::take(&mut state.queue);
        let (late, queue): (VecDeque<Batch>, _) =
            queue.into_iter().partition(|batch| batch.beat <= beat);
        state.queue = queue;
        for batch in late {
            let late = batch.settlements.len();
            state.lose(late);
            state.finish(batch.epoch, late);
        }
        let oldest = state.oldest;
        drop(state);
        self.announce(oldest);
    }

    /// Something new may be in the queue, or nothing will be any more.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Nobody is left who could hand something over.
    pub(super) fn abandon(&self) {
        self.state().abandoned = true;
        self.changed.notify_one();
    }

    /// Nothing will be written any more: what is not, is lost.
    pub(super) fn end(&self) {
        let mut state = self.state();
        self.ended.store(true, Ordering::Relaxed);
        let total = mem::take(&mut state.total);
        state.lose(total);
        state.queue = VecDeque::new();
        state.oldest = state.present().saturating_add(1);
        state.unwritten = VecDeque::from([0]);
        let oldest = state.oldest;
        drop(state);
        self.announce(oldest);
        self.changed.notify_one();
    }

    /// A charge that nobody will write any more is lost.
    pub(super) fn lose_one(&self) {
        self.state().lose(1);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether there is nothing left to do, now and later.
    pub(super) fn is_done(&self) -> bool {
        let state = self.state();
        self.has_ended() || state.abandoned && state.total == 0
    }

    /// What has been handed over by now.
    pub(super) fn mark(&self) -> Mark {
        let mut state = self.state();
        if state.unwritten.back().is_some_and(|unwritten| *unwritten > 0) {
            state.unwritten.push_back(0);
            self.changed.notify_one();
        }
        Mark(state.present())
    }

    /// Resolves when everything from before `mark` is written or given up.
    pub(super) async fn written_before(&self, mark: Mark) {
        // It can only fail without a sender, which is here.
        let _ = self.oldest.subscribe().wait_for(|oldest| *oldest >= mark.0).await;
    }

    /// What is missing from before `mark`, if anything. What was lost is told once.
    pub(super) fn missing_before(&self, mark: Mark) -> Option<Missing> {
        let mut state = self.state();
        let epochs = mark.0.saturating_sub(state.oldest);
        let epochs = usize::try_from(epochs).unwrap_or(usize::MAX);
        let unwritten = state.unwritten.iter().take(epochs).sum();
        let lost = mem::take(&mut state.lost);
        (unwritten > 0 || lost > 0).then_some(Missing { unwritten, lost })
    }

    /// Tells who flushes, when nothing is locked: they may run at once.
    fn announce(&self, latest: u64) {
        self.oldest.send_if_modified(|oldest| {
            let later = latest > *oldest;
            *oldest = latest.max(*oldest);
            later
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The epoch of what is handed over now.
    fn present(&self) -> u64 {
        let later = self.unwritten.len().saturating_sub(1);
        self.oldest.saturating_add(u64::try_from(later).unwrap_or(u64::MAX))
    }

    /// Counts a settlement as handed over, and gives its epoch.
    fn count_new(&mut self) -> u64 {
        self.total = self.total.saturating_add(1);
        if let Some(unwritten) = self.unwritten.back_mut() {
            *unwritten = unwritten.saturating_add(1);
        }
        self.present()
    }

    /// Counts settlements of `epoch` as written or given up.
    fn finish(&mut self, epoch: u64, count: usize) {
        let place = epoch.checked_sub(self.oldest).and_then(|place| usize::try_from(place).ok());
        let Some(unwritten) = place.and_then(|place| self.unwritten.get_mut(place)) else {
            return;
        };
        *unwritten = unwritten.saturating_sub(count);
        self.total = self.total.saturating_sub(count);
        while self.unwritten.len() > 1 && self.unwritten.front() == Some(&0) {
            self.unwritten.pop_front();
            self.oldest = self.oldest.saturating_add(1);
        }
    }

    fn lose(&mut self, settlements: usize) {
        self.lost = self.lost.saturating_add(count(settlements));
    }
}

fn count(settlements: usize) -> u64 {
    u64::try_from(settlements).unwrap_or(u64::MAX)
}

/// A point in time, between what was handed over before it and after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u64);

/// Settlements that a flush did not find written.
#[derive(Debug)]
pub(super) struct Missing {
    unwritten: usize,
    lost: u64,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unwritten, lost } = self;
        write!(f, "{unwritten} settlements are not written, and {lost} were lost")
    }
}

impl StdError for Missing {}

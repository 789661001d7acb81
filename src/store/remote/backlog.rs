//! Settlements that have been handed over and are not written yet, and who waits for them.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::batch::{Batch, Undecided};
use super::epochs::Epochs;
use super::refund::{Decided, Refund};
use crate::store::books::RemoteSettlement;
use crate::store::hold::HoldId;

/// A bounded queue of settlements which knows how many are not written, also of those that have
/// been taken out of it.
pub(super) struct Backlog {
    bound: usize,
    state: Mutex<State>,
    /// Something was put into the queue, or it was closed.
    changed: Notify,
    /// The oldest epoch of which something is not written.
    oldest: watch::Sender<u64>,
    /// Whether nothing will be written any more.
    ended: AtomicBool,
}

struct State {
    queue: VecDeque<Batch>,
    /// Settlements that are to be decided first.
    undecided: VecDeque<Undecided>,
    /// What is not written, in the queues or taken out of them.
    epochs: Epochs,
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
            undecided: VecDeque::new(),
            epochs: Epochs::new(),
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
        self.count_new(|state, epoch| state.enqueue(settlement, epoch, beat));
    }

    /// The same of one that is to be decided first. Where too many are waiting for that it is charged:
    /// those that nobody has to decide shall find room.
    pub(super) fn hand_over_refund(&self, refund: Refund, beat: u64) {
        self.count_new(|state, epoch| {
            if state.undecided.len() < self.bound.div_ceil(8) {
                state.undecided.push_back(Undecided { refund, epoch, beat, failures: 0 });
            } else {
                state.enqueue(refund.refused(), epoch, beat);
            }
        });
    }

    fn count_new(&self, enqueue: impl FnOnce(&mut State, u64)) {
        let mut state = self.state();
        if self.has_ended() || state.epochs.total() >= self.bound {
            state.lose(1);
            return;
        }
        let epoch = state.epochs.present();
        state.epochs.add(epoch, 1);
        enqueue(&mut state, epoch);
        drop(state);
        self.changed.notify_one();
    }

    /// The next settlement to decide.
    pub(super) fn take_undecided(&self) -> Option<Undecided> {
        self.state().undecided.pop_front()
    }

    /// Queues one again that could not be decided.
    pub(super) fn put_back_undecided(&self, undecided: Undecided) {
        self.state().undecided.push_back(undecided);
    }

    /// Queues what a settlement has become: it is not decided again, whatever happens.
    pub(super) fn decided(&self, undecided: &Undecided, decided: Decided) {
        let (epoch, beat) = (undecided.epoch, undecided.beat);
        let mut state = self.state();
        if self.has_ended() {
            return;
        }
        state.epochs.add(epoch, decided.len().saturating_sub(1));
        for settlement in decided {
            state.enqueue(settlement, epoch, beat);
        }
    }

    /// The next settlements to write, all that there are up to a batch.
    pub(super) fn take(&self) -> Option<Batch> {
        self.state().queue.pop_front()
    }

    /// Whether what comes next is not to wait for others to join it, for one because somebody flushes.
    pub(super) fn is_pressing(&self) -> bool {
        let state = self.state();
        let next = state.queue.front();
        next.is_some_and(|it| {
            it.is_pressing() || it.epoch < state.epochs.present() || state.abandoned
        })
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
        state.epochs.finish(batch.epoch, written);
        state.written = state.written.saturating_add(count(written));
        let oldest = state.epochs.oldest();
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
        let undecided = mem::take(&mut state.undecided);
        let (undecidable, undecided): (VecDeque<Undecided>, _) =
            undecided.into_iter().partition(|undecided| undecided.beat <= beat);
        state.undecided = undecided;
        let late = late.iter().map(|batch| (batch.epoch, batch.settlements.len()));
        for (epoch, late) in late.chain(undecidable.iter().map(|late| (late.epoch, 1))) {
            state.lose(late);
            state.epochs.finish(epoch, late);
        }
        let oldest = state.epochs.oldest();
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
        let total = state.epochs.end();
        state.lose(total);
        state.queue = VecDeque::new();
        state.undecided = VecDeque::new();
        let oldest = state.epochs.oldest();
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
        self.has_ended() || state.abandoned && state.epochs.total() == 0
    }

    /// What has been handed over by now.
    pub(super) fn mark(&self) -> Mark {
        let mark = Mark(self.state().epochs.begin());
        self.changed.notify_one();
        mark
    }

    /// Resolves when everything from before `mark` is written or given up.
    pub(super) async fn written_before(&self, mark: Mark) {
        // It can only fail without a sender, which is here.
        let _ = self.oldest.subscribe().wait_for(|oldest| *oldest >= mark.0).await;
    }

    /// What is missing from before `mark`, if anything. What was lost is told once.
    pub(super) fn missing_before(&self, mark: Mark) -> Option<Missing> {
        let mut state = self.state();
        let unwritten = state.epochs.before(mark.0);
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
    fn enqueue(&mut self, settlement: RemoteSettlement, epoch: u64, beat: u64) {
        match self.queue.back_mut() {
            Some(last) if last.takes(epoch) => last.add(settlement, beat),
            _ => self.queue.push_back(Batch::of(settlement, epoch, beat)),
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

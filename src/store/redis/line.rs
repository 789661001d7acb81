//! Requests that come while enough calls are under way: they wait, and are sent together.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::error::StoreError;
use crate::store::books::{RemoteReserve, RemoteVerdict};

/// How many calls are under way at a time. Nobody waits before there are as many.
const UNDER_WAY: usize = 4;

/// How many counters one script is sent: it stops the whole server while it runs.
const COUNTERS: usize = 64;

pub(super) type Answer = Result<RemoteVerdict, StoreError>;

/// A request, and whoever waits for the answer.
pub(super) struct Ask {
    pub(super) request: RemoteReserve,
    pub(super) reply: Sender<Answer>,
}

impl Ask {
    pub(super) fn answer(self, answer: Answer) {
        // Who waits no more gives back what it may have got.
        drop(self.reply.send(answer));
    }
}

/// Requests in the order in which they came.
#[derive(Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Ask>,
    under_way: usize,
}

/// What becomes of a request that has come.
pub(super) enum Turn {
    /// It is its turn.
    Now(Place),
    /// It waits, and is answered.
    Later(Receiver<Answer>),
}

impl Line {
    pub(super) fn come(self: &Arc<Self>, request: &RemoteReserve) -> Turn {
        let mut state = self.state();
        if state.under_way < UNDER_WAY {
            state.under_way = state.under_way.saturating_add(1);
            return Turn::Now(Place { line: self.clone(), is_left: false });
        }
        let (reply, answer) = oneshot::channel();
        state.waiting.push_back(Ask { request: request.clone(), reply });
        Turn::Later(answer)
    }

    /// Nothing of it is half done if a thread panics in between.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the calls under way.
pub(super) struct Place {
    line: Arc<Line>,
    is_left: bool,
}

impl Place {
    /// What to send next: all that somebody waits for, up to what one script is sent. If nobody
    /// waits, the place is left.
    pub(super) fn next(&mut self) -> Option<Vec<Ask>> {
        let mut state = self.line.state();
        let (mut asks, mut counters) = (Vec::new(), 0_usize);
        while let Some(ask) = state.waiting.pop_front() {
            if ask.reply.is_closed() {
                continue;
            }
            let total = counters.saturating_add(ask.request.charges.len());
            if total > COUNTERS && !asks.is_empty() {
                state.waiting.push_front(ask);
                break;
            }
            counters = total;
            asks.push(ask);
        }
        if asks.is_empty() {
            state.under_way = state.under_way.saturating_sub(1);
            self.is_left = true;
            return None;
        }
        Some(asks)
    }
}

impl Drop for Place {
    /// If it was cut short, for its runtime has ended: where nobody else is at work, those who wait
    /// get an error.
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        let mut state = self.line.state();
        state.under_way = state.under_way.saturating_sub(1);
        let nobody_works = state.under_way == 0;
        let left = if nobody_works { mem::take(&mut state.waiting) } else { VecDeque::new() };
        // They may run at once.
        drop(state);
        drop(left);
    }
}

//! Jobs that wait for each other, in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::yield_now;

/// What somebody waits for.
pub(crate) trait Waited {
    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;
}

/// Jobs in the order in which they came. Only so many workers take from them at the same time.
pub(crate) struct Line<J: ?Sized> {
    state: Mutex<State<J>>,
    most_workers: usize,
}

struct State<J: ?Sized> {
    jobs: VecDeque<Box<J>>,
    workers: usize,
}

/// Takes jobs from a line, until there are none.
pub(crate) struct Worker<J: Waited + ?Sized> {
    line: Arc<Line<J>>,
    is_done: bool,
}

impl<J: ?Sized> Line<J> {
    /// A line on which so many work at most.
    pub(crate) fn of(most_workers: usize) -> Self {
        let state = State { jobs: VecDeque::new(), workers: 0 };
        Self { state: Mutex::new(state), most_workers }
    }

    /// No job is left half taken if a thread panics in between.
    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Waited + ?Sized> Line<J> {
    /// Puts a job at the end of the line. If there is work for one more, whoever called is to.
    pub(crate) fn push(self: &Arc<Self>, job: Box<J>) -> Option<Worker<J>> {
        let mut state = self.state();
        state.jobs.push_back(job);
        if state.workers >= self.most_workers {
            return None;
        }
        state.workers = state.workers.saturating_add(1);
        Some(Worker { line: self.clone(), is_done: false })
    }
}

/// With one worker.
impl<J: ?Sized> Default for Line<J> {
    fn default() -> Self {
        Self::of(1)
    }
}

impl<J: Waited + ?Sized> Worker<J> {
    /// The first jobs of the line that somebody waits for, at most so many. Without any, the work is
    /// done.
    ///
    /// Those who have just been answered run first: what they ask next is done together with the
    /// rest, rather than after it.
    pub(crate) async fn next(&mut self, at_most: usize) -> Option<Vec<Box<J>>> {
        yield_now().await;
        self.take(at_most)
    }

    fn take(&mut self, at_most: usize) -> Option<Vec<Box<J>>> {
        let mut state = self.line.state();
        let mut jobs = Vec::new();
        while jobs.len() < at_most {
            match state.jobs.pop_front() {
                Some(job) if job.is_abandoned() => {}
                Some(job) => jobs.push(job),
                None => break,
            }
        }
        if jobs.is_empty() {
            state.workers = state.workers.saturating_sub(1);
            self.is_done = true;
            return None;
        }
        Some(jobs)
    }
}

impl<J: Waited + ?Sized> Drop for Worker<J> {
    /// If the work was cut short, for its runtime has ended, and nobody else is at it: whoever waits
    /// gets an error, and the next one to come works.
    fn drop(&mut self) {
        if !self.is_done {
            let mut state = self.line.state();
            state.workers = state.workers.saturating_sub(1);
            if state.workers == 0 {
                state.jobs.clear();
            }
        }
    }
}

//! Jobs that wait for each other, in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::job::Job;

/// Jobs in the order in which they came. At most one worker takes from them.
pub(crate) struct Line<J: ?Sized>(Mutex<State<J>>);

struct State<J: ?Sized> {
    jobs: VecDeque<Box<J>>,
    is_worked_on: bool,
}

/// Takes jobs from a line, until there are none.
pub(crate) struct Worker<J: Job + ?Sized> {
    line: Arc<Line<J>>,
    is_done: bool,
}

impl<J: Job + ?Sized> Line<J> {
    /// Puts a job at the end of the line. If nobody works on the line, whoever called is to.
    pub(crate) fn push(self: &Arc<Self>, job: Box<J>) -> Option<Worker<J>> {
        let mut state = self.state();
        state.jobs.push_back(job);
        let is_idle = !std::mem::replace(&mut state.is_worked_on, true);
        is_idle.then(|| Worker { line: self.clone(), is_done: false })
    }

    /// No job is left half taken if a thread panics in between.
    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: ?Sized> Default for Line<J> {
    fn default() -> Self {
        Self(Mutex::new(State { jobs: VecDeque::new(), is_worked_on: false }))
    }
}

impl<J: Job + ?Sized> Worker<J> {
    /// The first jobs of the line that somebody waits for, at most so many. Without any, the work is
    /// done.
    pub(crate) fn next(&mut self, at_most: usize) -> Option<Vec<Box<J>>> {
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
            state.is_worked_on = false;
            self.is_done = true;
            return None;
        }
        Some(jobs)
    }
}

impl<J: Job + ?Sized> Drop for Worker<J> {
    /// If the work was cut short, for its runtime has ended: whoever waits gets an error, and the
    /// next one to come works.
    fn drop(&mut self) {
        if !self.is_done {
            let mut state = self.line.state();
            state.is_worked_on = false;
            state.jobs.clear();
        }
    }
}

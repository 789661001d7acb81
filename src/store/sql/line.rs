//! Verbs that wait in line, and are done together in one transaction.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::draft::{Draft, Rows, Wanted};
use super::error::Failure;
use super::verbs::Verb;
use crate::error::StoreError;
use crate::store::books::Lease;

/// A verb of any kind, and whoever waits for its answer.
pub(crate) trait Job: Send {
    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;

    /// Adds what it is going to need.
    fn want(&self, wanted: &mut Wanted);

    /// Does it. The answer is kept back until all is written.
    fn apply(&mut self, draft: &mut Draft);

    /// Answers, now that all is written.
    fn done(self: Box<Self>);

    /// Answers that nothing was written.
    fn failed(self: Box<Self>, failure: &Failure);
}

/// A verb that has an answer to give.
#[derive(Debug)]
pub(crate) struct Ask<V: Verb> {
    verb: V,
    answer: Option<Result<V::Answer, StoreError>>,
    reply: oneshot::Sender<Result<V::Answer, StoreError>>,
}

impl<V: Verb> Ask<V> {
    pub(crate) fn new(verb: V) -> (Self, oneshot::Receiver<Result<V::Answer, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { verb, answer: None, reply }, answer)
    }
}

impl<V: Verb> Ask<V> {
    /// What is asked.
    #[cfg(feature = "postgres")]
    pub(crate) fn verb(&self) -> &V {
        &self.verb
    }

    /// Answers.
    #[cfg(feature = "postgres")]
    pub(crate) fn answer(self, answer: Result<V::Answer, StoreError>) {
        drop(self.reply.send(answer));
    }
}

impl<V: Verb> Job for Ask<V> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn want(&self, wanted: &mut Wanted) {
        self.verb.want(wanted);
    }

    fn apply(&mut self, draft: &mut Draft) {
        self.answer = Some(self.verb.apply(draft));
    }

    fn done(self: Box<Self>) {
        if let Some(answer) = self.answer {
            // Nobody waits any more: the verb was done all the same.
            drop(self.reply.send(answer));
        }
    }

    fn failed(self: Box<Self>, failure: &Failure) {
        drop(self.reply.send(Err(failure.of(V::NAME))));
    }
}

/// Does jobs. What has changed is to be written.
pub(crate) async fn apply_all<J: Job + ?Sized>(
    rows: &mut impl Rows,
    jobs: &mut [Box<J>],
    lease: Lease,
) -> sqlx::Result<Draft> {
    let mut wanted = Wanted::default();
    for job in &*jobs {
        job.want(&mut wanted);
    }
    let mut draft = Draft::open(rows, &wanted, lease).await?;
    for job in jobs {
        job.apply(&mut draft);
    }
    Ok(draft)
}

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

/// Answers all jobs of a transaction.
pub(crate) fn answer_all<J: Job + ?Sized>(jobs: Vec<Box<J>>, written: Result<(), Failure>) {
    match written {
        Ok(()) => jobs.into_iter().for_each(Job::done),
        Err(failure) => {
            for job in jobs {
                job.failed(&failure);
            }
        }
    }
}

/// The answer of a job.
pub(crate) async fn answered<V: Verb>(
    answer: oneshot::Receiver<Result<V::Answer, StoreError>>,
) -> Result<V::Answer, StoreError> {
    let cut_short = |_| Err(StoreError::transient(V::NAME, "the runtime that wrote has ended"));
    answer.await.unwrap_or_else(cut_short)
}

//! Verbs that are done together in one transaction, and answered when it is over.

use tokio::sync::oneshot;

use super::draft::{Draft, Rows, Wanted};
use super::error::Failure;
use super::line::Waited;
use super::verbs::Verb;
use crate::error::StoreError;
use crate::store::books::Lease;

/// A verb of any kind, and whoever waits for its answer.
pub(crate) trait Job: Waited + Send {
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

    /// Sets the answer to give when all is written.
    #[cfg(feature = "postgres")]
    pub(crate) fn set(&mut self, answer: V::Answer) {
        self.answer = Some(Ok(answer));
    }
}

impl<V: Verb> Waited for Ask<V> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

impl<V: Verb> Job for Ask<V> {
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

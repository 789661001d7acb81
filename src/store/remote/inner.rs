//! What all clones of a store share, and what they do with it.

use std::sync::Arc;

use super::backlog::Mark;
use super::breaker::means_away;
use super::desk::Desk;
use super::lanes::Lanes;
use super::link::{Link, within};
use super::offset::Offset;
use super::options::RemoteOptions;
use super::reserve;
use super::share::LocalShare;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::store::books::{RemoteBooks, RemoteCharge, RemoteReserve};
use crate::store::request::Verdict;

pub(super) struct Inner<B> {
    pub(super) link: Arc<Link<B>>,
    pub(super) desk: Arc<Desk>,
    pub(super) lanes: Lanes,
    pub(super) offset: Arc<Offset>,
    pub(super) share: Option<Arc<LocalShare>>,
    pub(super) options: RemoteOptions,
}

impl<B: RemoteBooks> Inner<B> {
    pub(super) async fn reserve(
        &self,
        request: RemoteReserve,
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let Self { link, desk, offset, .. } = self;
        match reserve::reserve(link, desk, offset, request.clone(), now).await {
            Err(error) if means_away(&error) => self.share_of(&request, now, error),
            answer => answer,
        }
    }

    /// What the local share says to a request that met with `error`; the error, if it has no room.
    pub(super) fn share_of(
        &self,
        request: &RemoteReserve,
        now: Timestamp,
        error: StoreError,
    ) -> Result<Verdict, StoreError> {
        let share = self.share.as_ref().filter(|_| !self.desk.backlog.has_ended());
        share.and_then(|share| share.reserve(&self.desk, request, now)).ok_or(error)
    }

    /// The verdict on a request for more than can be held.
    pub(super) async fn deny(&self, charges: &[RemoteCharge]) -> Result<Verdict, StoreError> {
        let counters: Vec<_> = charges.iter().map(|charge| charge.counter.clone()).collect();
        let counts = self.link.read(&counters).await?;
        Ok(Verdict::Denied(counts.into()))
    }

    pub(super) async fn shut_down(&self, mark: Mark) -> Result<(), StoreError> {
        let backlog = &self.desk.backlog;
        let mut flushed = self.flush(mark).await;
        if flushed.is_ok() {
            // What was handed over meanwhile.
            flushed = self.flush(backlog.mark()).await;
        }
        backlog.end();
        match backlog.missing_before(mark) {
            Some(lost) if flushed.is_ok() => Err(StoreError::transient("shut down", lost)),
            _ => flushed,
        }
    }

    pub(super) async fn flush(&self, mark: Mark) -> Result<(), StoreError> {
        let backlog = &self.desk.backlog;
        let written = async {
            backlog.written_before(mark).await;
            if let Some(share) = &self.share {
                share.is_merged().await;
            }
            Ok(())
        };
        // What is missing afterwards says more than that the time is over.
        let _ = within("flush", self.options.flush_within, written).await;
        if let Some(missing) = backlog.missing_before(mark) {
            return Err(StoreError::transient("flush", missing));
        }
        match self.share.as_ref().and_then(|share| share.debt()) {
            Some(owing) => Err(StoreError::transient("flush", owing)),
            None => Ok(()),
        }
    }
}

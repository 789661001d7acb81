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
use super::windows::{Unknown, Windows, put};
use crate::clock::Timestamp;
use crate::count::Count;
use crate::error::StoreError;
use crate::store::books::{RemoteBooks, RemoteCharge, RemoteCounter, RemoteReserve};
use crate::store::request::{Change, Verdict};

pub(super) struct Inner<B> {
    pub(super) link: Arc<Link<B>>,
    pub(super) desk: Arc<Desk>,
    pub(super) lanes: Lanes,
    pub(super) offset: Arc<Offset>,
    pub(super) share: Option<Arc<LocalShare>>,
    pub(super) windows: Windows,
    pub(super) options: RemoteOptions,
}

impl<B: RemoteBooks> Inner<B> {
    pub(super) async fn reserve(
        &self,
        mut request: RemoteReserve,
        unknown: Vec<Unknown>,
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let Self { link, desk, offset, .. } = self;
        let answer = async {
            if !unknown.is_empty() {
                if !request.charges.iter().all(|charge| charge.could_hold(request.units)) {
                    // No window begins with what can never be granted.
                    return self.deny(request.charges.to_vec(), request.units, &unknown, now).await;
                }
                let windows = self.windows.open(link, &unknown, now).await?;
                let mut charges = request.charges.to_vec();
                put(charges.iter_mut().map(|charge| &mut charge.counter), &unknown, windows);
                request.charges = charges.into();
                // It may have taken so long.
                request.not_after = request.not_after.saturating_add(link.timeout);
                request.patience = request.patience.saturating_add(link.timeout);
            }
            reserve::reserve(link, desk, offset, request.clone(), now).await
        };
        match answer.await {
            Err(error) if means_away(&error) => self.share_of(&request, &unknown, now, error),
            answer => answer,
        }
    }

    pub(super) async fn read(
        &self,
        mut charges: Vec<RemoteCharge>,
        units: u64,
        unknown: &[Unknown],
        now: Timestamp,
    ) -> Result<Vec<Count>, StoreError> {
        let windows = self.windows.read(&self.link, unknown, now).await?;
        put(charges.iter_mut().map(|charge| &mut charge.counter), unknown, windows);
        self.link.read(&charges, units).await
    }

    pub(super) async fn change(
        &self,
        mut counters: Vec<RemoteCounter>,
        unknown: Vec<Unknown>,
        change: Change,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let windows = self.windows.open(&self.link, &unknown, now).await?;
        put(counters.iter_mut(), &unknown, windows);
        self.lanes.change(&self.link, counters, change).await
    }

    /// What the local share says to a request that met with `error`; the error, if it has no room.
    pub(super) fn share_of(
        &self,
        request: &RemoteReserve,
        unknown: &[Unknown],
        now: Timestamp,
        error: StoreError,
    ) -> Result<Verdict, StoreError> {
        let share = self.share.as_ref().filter(|_| !self.desk.backlog.has_ended());
        share.and_then(|share| share.reserve(&self.desk, request, unknown, now)).ok_or(error)
    }

    /// The verdict on a request for more than can be held.
    pub(super) async fn deny(
        &self,
        charges: Vec<RemoteCharge>,
        units: u64,
        unknown: &[Unknown],
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        Ok(Verdict::Denied(self.read(charges, units, unknown, now).await?.into()))
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

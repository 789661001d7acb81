//! What a store with books outside of this process does in the background, in one task.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::time::{Interval, sleep, timeout};

use super::backlog::Backlog;
use super::beats::Beats;
use super::leases::Leases;
use super::link::Link;
use super::offset::Offset;
use super::settler::Settler;
use super::share::LocalShare;
use crate::store::books::RemoteBooks;

/// How many records are swept in one call.
const SWEPT: u32 = 1_000;

/// A sweep never keeps a core or the books busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// Settles, renews leases, looks for books that are away, and sweeps.
///
/// It ends when nothing is left to settle and nobody is left to hand something over. It keeps
/// nothing of those who do.
pub(super) struct Worker<B> {
    pub(super) link: Arc<Link<B>>,
    pub(super) leases: Arc<Leases>,
    pub(super) beats: Arc<Beats>,
    pub(super) offset: Arc<Offset>,
    pub(super) share: Option<Arc<LocalShare>>,
    pub(super) sweep_every: Option<Duration>,
    pub(super) backlog: Ending,
}

/// Ends the backlog with the worker, also if the runtime drops it.
pub(super) struct Ending(pub(super) Arc<Backlog>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<B: RemoteBooks> Worker<B> {
    pub(super) async fn run(self, timer: Interval) {
        let lease = self.link.books.lease();
        let settler = Settler {
            link: &self.link,
            backlog: &self.backlog.0,
            beats: &self.beats,
            offset: &self.offset,
            // One more than fit: the first may have been nearly over.
            patience: self.beats.within(lease.length.saturating_add(lease.keep)).saturating_add(1),
        };
        select! {
            () = self.settle(&settler) => {}
            () = self.beats.count(timer) => {}
            () = self.leases.renew(&self.link, &self.beats) => {}
            () = self.link.probe() => {}
            () = self.merge() => {}
            () = self.sweep() => {}
        }
    }

    /// Settles until nobody is left to hand something over, and then waits for the charges of the
    /// local share, as long as a settlement would be tried.
    async fn settle(&self, settler: &Settler<'_, B>) {
        settler.run().await;
        if let (Some(share), false) = (&self.share, self.backlog.0.has_ended()) {
            let lease = self.link.books.lease();
            let _ = timeout(lease.length.saturating_add(lease.keep), share.is_merged()).await;
        }
    }

    async fn merge(&self) {
        match &self.share {
            Some(share) => share.merge(&self.link, &self.beats, &self.backlog.0).await,
            None => future::pending().await,
        }
    }

    async fn sweep(&self) {
        let Some(period) = self.sweep_every else { return future::pending().await };
        loop {
            sleep(period.max(SHORTEST_PAUSE)).await;
            while self.link.sweep(SWEPT).await.is_ok_and(|swept| swept >= SWEPT) {
                sleep(SHORTEST_PAUSE).await;
            }
        }
    }
}

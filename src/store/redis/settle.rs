//! Settling and renewing holds, many at a time.

use futures::future::join_all;
use redis::RedisResult;

use super::RedisBooks;
use super::batch::Batch;
use super::error::failed;
use crate::clock::Timestamp;
use crate::count::Spent;
use crate::error::StoreError;
use crate::store::books::{RemoteSettlement, Renewal};
use crate::store::hold::HoldId;

/// How many pairs of a hold and a counter one script settles: a script stops the whole server
/// while it runs.
const SETTLED: usize = 64;

/// How many pairs of a hold and a counter one script renews.
const RENEWED: usize = 256;

impl RedisBooks {
    pub(super) async fn settle_all(
        &self,
        settlements: &[RemoteSettlement],
    ) -> Result<Vec<HoldId>, StoreError> {
        let batches = Batch::all(settlements, self.reach(), SETTLED);
        let early = join_all(batches.iter().map(|batch| self.settle_batch(batch))).await;
        let mut ids: Vec<HoldId> = Vec::new();
        for id in
            early.into_iter().collect::<RedisResult<Vec<_>>>().map_err(failed("settle"))?.concat()
        {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// Settles what one script can, and gives the ids of those that came too early.
    async fn settle_batch(&self, batch: &Batch<'_, RemoteSettlement>) -> RedisResult<Vec<HoldId>> {
        let mut call =
            self.call(&self.scripts.settle, batch.counters.iter().map(|(counter, _)| *counter));
        call.length(self.lease.keep).arg(batch.items.len());
        for settlement in &batch.items {
            let spent = match settlement.spent {
                Spent::Held => None,
                Spent::Units(units) => Some(units),
            };
            let after = settlement.after.map(Timestamp::as_millis);
            call.id(settlement.id).optional(spent).optional(after);
        }
        for (_, items) in &batch.counters {
            call.arg(items.len());
            for item in items {
                call.arg(item.saturating_add(1));
            }
        }
        let early: Vec<usize> = call.run(&self.connection).await?;
        let item = |index: &usize| batch.items.get(index.checked_sub(1)?).map(|item| item.id);
        Ok(early.iter().filter_map(item).collect())
    }

    pub(super) async fn renew_all(&self, renewals: &[Renewal]) -> Result<(), StoreError> {
        let batches = Batch::all(renewals, self.reach(), RENEWED);
        let renewed = join_all(batches.iter().map(|batch| self.renew_batch(batch))).await;
        renewed.into_iter().collect::<RedisResult<()>>().map_err(failed("renew"))
    }

    async fn renew_batch(&self, batch: &Batch<'_, Renewal>) -> RedisResult<()> {
        let mut call =
            self.call(&self.scripts.renew, batch.counters.iter().map(|(counter, _)| *counter));
        call.length(self.lease.length).length(self.lease.keep).length(self.linger());
        for (_, items) in &batch.counters {
            call.arg(items.len());
            for renewal in items.iter().filter_map(|item| batch.items.get(*item)) {
                call.id(renewal.id);
            }
        }
        call.run(&self.connection).await
    }
}

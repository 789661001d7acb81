//! Settling and renewing holds, many at a time.

use futures::future::join_all;
use redis::RedisResult;

use super::error::failed;
use super::group::Group;
use super::packed::Packed;
use super::session::Session;
use crate::count::Spent;
use crate::error::StoreError;
use crate::store::books::{RemoteSettlement, Renewal};
use crate::store::hold::HoldId;

/// How many pairs of a hold and a counter one script settles: a script stops the whole server
/// while it runs.
const SETTLED: usize = 64;

/// What stands for all units that were held.
const ALL_HELD: f64 = -1.0;

/// How many pairs of a hold and a counter one script renews.
const RENEWED: usize = 256;

impl Session {
    pub(super) async fn settle_all(
        &self,
        settlements: &[RemoteSettlement],
    ) -> Result<Vec<HoldId>, StoreError> {
        let groups = Group::all(settlements, self.reach(), SETTLED);
        let early = join_all(groups.iter().map(|group| self.settle_group(group))).await;
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
    async fn settle_group(&self, group: &Group<'_, RemoteSettlement>) -> RedisResult<Vec<HoldId>> {
        let mut call =
            self.call(&self.scripts.settle, group.counters.iter().map(|(counter, _)| *counter));
        let mut settlements = Packed::default();
        for settlement in &group.items {
            settlements.id(settlement.id);
            match settlement.after {
                Some(after) => settlements.instant(after),
                None => settlements.number(f64::NEG_INFINITY),
            };
        }
        call.length(self.lease.keep).packed(&settlements);
        for (counter, items) in &group.counters {
            let mut spent = Packed::default();
            for (number, settlement) in numbered(items, &group.items) {
                spent.count(number);
                match settlement.spent.counted(counter.limit.measure()) {
                    Spent::Held | Spent::Refund => spent.number(ALL_HELD),
                    Spent::Units(units) => spent.count(units),
                    Spent::Nothing => spent.count(0),
                };
            }
            call.packed(&spent);
        }
        loop {
            let early: Vec<usize> = call.run(&self.connection).await?;
            if !early.contains(&0) {
                let item = |index: &usize| group.items.get(index.checked_sub(1)?);
                return Ok(early.iter().filter_map(item).map(|item| item.id).collect());
            }
        }
    }

    pub(super) async fn renew_all(&self, renewals: &[Renewal]) -> Result<(), StoreError> {
        let groups = Group::all(renewals, self.reach(), RENEWED);
        let renewed = join_all(groups.iter().map(|group| self.renew_group(group))).await;
        renewed.into_iter().collect::<RedisResult<()>>().map_err(failed("renew"))
    }

    async fn renew_group(&self, group: &Group<'_, Renewal>) -> RedisResult<()> {
        let mut call =
            self.call(&self.scripts.renew, group.counters.iter().map(|(counter, _)| *counter));
        call.length(self.lease.length).length(self.lease.keep).length(self.linger());
        for (_, items) in &group.counters {
            call.arg(items.len());
            for renewal in items.iter().filter_map(|item| group.items.get(*item)) {
                call.id(renewal.id);
            }
        }
        call.run(&self.connection).await
    }
}

/// The items of a counter, each with its number in the script.
fn numbered<'a>(
    indices: &[usize],
    items: &'a [&RemoteSettlement],
) -> impl Iterator<Item = (u64, &'a RemoteSettlement)> {
    indices.iter().filter_map(|index| {
        let item = *items.get(*index)?;
        Some((u64::try_from(*index).ok()?.saturating_add(1), item))
    })
}

//! Settling the short way: one statement for a batch.

use std::collections::HashSet;

use sqlx::query_scalar;

use super::rows::column;
use super::session::Session;
use super::short_way::calls_for_the_long_way;
use crate::count::Spent;
use crate::store::books::{MAX_COUNT, RemoteCharge, RemoteSettlement};
use crate::store::sql::rows::{to_bits, to_count};

/// A settlement, and one of its counters.
type End<'a> = (&'a RemoteSettlement, &'a RemoteCharge);

impl Session {
    /// Settles, if all holds are known to have been made and each is named once, no window rolls and
    /// the clock is the server's. Says whether all were live: if not, the long way finds what is left.
    pub(super) async fn settle_short(&self, batch: &[RemoteSettlement]) -> sqlx::Result<bool> {
        let ends: Vec<End<'_>> = batch
            .iter()
            .flat_map(|settlement| {
                settlement.counters.iter().map(move |charge| (settlement, charge))
            })
            .collect();
        let rolls = |(_, charge): &End<'_>| charge.counter.limit.rolling().is_some();
        let mut known = HashSet::new();
        // Of a hold that is settled twice, the first settlement counts.
        let mut is_unsure = |it: &RemoteSettlement| it.after.is_some() || !known.insert(it.id);
        if self.clock.is_some() || batch.iter().any(&mut is_unsure) || ends.iter().any(rolls) {
            return Ok(false);
        }
        let settle = query_scalar::<_, i64>(self.statements.settle.clone())
            .bind(column(&ends, |(_, charge)| charge.counter.key()))
            .bind(column(&ends, |(settlement, _)| to_bits(settlement.id.nonce)))
            .bind(column(&ends, |(settlement, _)| to_bits(settlement.id.sequence)))
            .bind(column(&ends, spent))
            .bind(to_count(MAX_COUNT));
        let settled = self.in_time(async {
            let mut lent = self.acquire().await?;
            let settled = settle.fetch_all(lent.busy()).await;
            lent.hear(settled)
        });
        match settled.await {
            Ok(counts) => Ok(counts.iter().any(|count| usize::try_from(*count) == Ok(ends.len()))),
            Err(error) if calls_for_the_long_way(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What is spent of a counter; none where that is all that was held.
fn spent((settlement, charge): &End<'_>) -> Option<i64> {
    match charge.spent(settlement.spent) {
        Spent::Units(units) => Some(to_count(units)),
        Spent::Nothing => Some(0),
        Spent::Held | Spent::Refund => None,
    }
}

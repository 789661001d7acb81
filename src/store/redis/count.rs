//! Reading counts, and changing what is used.

use futures::future::try_join_all;
use redis::RedisResult;

use super::error::failed;
use super::packed::Packed;
use super::reply::{Replies, Reply};
use super::session::Session;
use crate::count::Count;
use crate::error::StoreError;
use crate::store::books::{RemoteChange, RemoteCharge, RemoteCounter};
use crate::store::request::Change;

impl Session {
    pub(super) async fn read_all(
        &self,
        charges: &[RemoteCharge],
        units: u64,
    ) -> Result<Vec<Count>, StoreError> {
        let counters = charges.iter().map(|charge| &charge.counter);
        let parts = self.reach().split(counters.clone());
        let answers = parts.iter().map(|part| self.read_part(charges, units, part));
        let answers = try_join_all(answers).await?;
        let mut counts: Vec<_> = counters.map(|of| Count::unused(of.window)).collect();
        for (part, answer) in parts.iter().zip(answers) {
            for (index, counted) in part.iter().zip(answer.counts) {
                if let Some(count) = counts.get_mut(*index) {
                    *count = counted;
                }
            }
        }
        Ok(counts)
    }

    async fn read_part(
        &self,
        charges: &[RemoteCharge],
        units: u64,
        part: &[usize],
    ) -> Result<Reply, StoreError> {
        let charges: Vec<_> = part.iter().filter_map(|index| charges.get(*index)).collect();
        let counters: Vec<_> = charges.iter().map(|charge| &charge.counter).collect();
        loop {
            // With a new time: as of the old one, something may be due that is not to be purged yet.
            let mut call = self.call(&self.scripts.read, counters.iter().copied());
            call.length(self.lease.keep);
            for charge in &charges {
                let mut asked = Packed::default();
                asked.window(&charge.counter).count(charge.units(units)).ceiling(charge.ceiling);
                call.packed(&asked);
            }
            let answer: Vec<i64> = call.run(&self.connection).await.map_err(failed("count"))?;
            if let Some(reply) = Replies::new("count", &answer).next(&counters)? {
                return Ok(reply);
            }
            self.purge(&counters).await.map_err(failed("count"))?;
        }
    }

    /// Purges all that has lapsed.
    async fn purge(&self, counters: &[&RemoteCounter]) -> RedisResult<()> {
        let mut call = self.call(&self.scripts.purge, counters.iter().copied());
        call.length(self.lease.keep);
        while call.run(&self.connection).await? {}
        Ok(())
    }

    /// Changes all counters that one script reaches, or none. The next call of the same number goes
    /// on where this one fails. A window that is over for too long is found before anything is changed,
    /// whatever slot it is in.
    pub(super) async fn change_all(&self, change: &RemoteChange) -> Result<(), StoreError> {
        let parts = self.reach().split(change.counters.iter());
        if parts.len() > 1 {
            let charges: Vec<_> = change.counters.iter().map(uncapped).collect();
            self.read_all(&charges, 0).await?;
        }
        for part in &parts {
            self.change_part(change, part).await?;
        }
        Ok(())
    }

    async fn change_part(&self, change: &RemoteChange, part: &[usize]) -> Result<(), StoreError> {
        let counters: Vec<_> = part.iter().filter_map(|at| change.counters.get(*at)).collect();
        let (kind, units) = match change.change {
            Change::Debit(units) => ("d", units),
            Change::Credit(units) => ("c", units),
            Change::Reset => ("r", 0),
        };
        let mut call = self.call(&self.scripts.change, counters.iter().copied());
        call.length(self.lease.keep)
            .length(self.linger())
            .length(RemoteChange::REMEMBERED)
            .arg([b"m:".as_slice(), &change.nonce.to_be_bytes()].concat())
            .arg(change.sequence)
            .arg(kind)
            .arg(units);
        for counter in &counters {
            call.packed(Packed::default().window(counter));
        }
        loop {
            let answer: Vec<i64> = call.run(&self.connection).await.map_err(failed("change"))?;
            if Replies::new("change", &answer).is_done(&counters)? {
                return Ok(());
            }
        }
    }
}

fn uncapped(counter: &RemoteCounter) -> RemoteCharge {
    RemoteCharge { counter: counter.clone(), ceiling: None, refunds: None }
}

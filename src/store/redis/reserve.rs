//! Holding units: in one script, or on a Cluster in one for each slot.

use redis::RedisResult;

use super::error::failed;
use super::packed::Packed;
use super::reply::{Code, Replies, Reply};
use super::session::Session;
use crate::clock::Timestamp;
use crate::count::{Count, Counts, Spent};
use crate::error::StoreError;
use crate::limits::Scope;
use crate::store::books::{
    Held, Lapse, RemoteCharge, RemoteReserve, RemoteSettlement, RemoteVerdict,
};

impl Session {
    /// Holds units slot by slot, in the order of the scopes. If one of them refuses, or says that
    /// its window is over for too long, what was taken of the others is given back. After any other
    /// error the caller does that: nobody knows then what was taken.
    pub(super) async fn reserve_all(
        &self,
        request: &RemoteReserve,
    ) -> Result<RemoteVerdict, StoreError> {
        let counters = request.charges.iter().map(|charge| &charge.counter);
        let mut counts: Counts = counters.clone().map(|of| Count::unused(of.window)).collect();
        let mut now = Timestamp::MIN;
        let mut taken: Vec<RemoteCharge> = Vec::new();
        let mut parts = self.reach().split(counters);
        // The profile's own first, everyone's last: what most have to themselves is asked for first.
        parts.sort_by_key(|part| {
            part.first().and_then(|index| request.charges.get(*index)).map(scope)
        });
        for part in parts {
            let charges: Vec<_> =
                part.iter().filter_map(|index| request.charges.get(*index)).collect();
            let answer = match self.reserve_in_one(request, &charges).await {
                Err(error) if error.is_clock_skew() && !taken.is_empty() => {
                    self.give_back(request, taken).await?;
                    return Err(error);
                }
                answer => answer?,
            };
            now = answer.now;
            for (index, counted) in part.iter().zip(&answer.counts) {
                if let Some(count) = counts.get_mut(*index) {
                    *count = *counted;
                }
            }
            if answer.code != Code::Granted {
                let elsewhere = part.len() < request.charges.len();
                return if elsewhere {
                    self.refuse_all(request, taken, answer.code, now).await
                } else {
                    Ok(RemoteVerdict { held: refused(answer.code, counts), now })
                };
            }
            taken.extend(charges.into_iter().cloned());
        }
        Ok(RemoteVerdict { held: Held::Granted(counts), now })
    }

    /// Gives back what was taken, and tells the counts of all counters as they are then.
    async fn refuse_all(
        &self,
        request: &RemoteReserve,
        taken: Vec<RemoteCharge>,
        code: Code,
        now: Timestamp,
    ) -> Result<RemoteVerdict, StoreError> {
        self.give_back(request, taken).await?;
        let counts = self.read_all(&request.charges, request.units).await?;
        Ok(RemoteVerdict { held: refused(code, counts.into()), now })
    }

    async fn give_back(
        &self,
        request: &RemoteReserve,
        taken: Vec<RemoteCharge>,
    ) -> Result<(), StoreError> {
        let (id, counters) = (request.id, taken.into());
        let release = RemoteSettlement { id, counters, spent: Spent::Nothing, after: None };
        self.settle_all(&[release]).await.map(drop)
    }

    /// Holds units of counters that one script reaches.
    async fn reserve_in_one(
        &self,
        request: &RemoteReserve,
        charges: &[&RemoteCharge],
    ) -> Result<Reply, StoreError> {
        loop {
            let replies = self.reserve_together(&[(request, charges)]).await;
            let mut replies = replies.map_err(failed("reserve"))?;
            if let Some(reply) = replies.pop().transpose()?.flatten() {
                return Ok(reply);
            }
        }
    }

    /// Does requests one after the other in one script. Each has an answer of its own, if no more has
    /// lapsed than one call may look at.
    pub(super) async fn reserve_together(
        &self,
        requests: &[(&RemoteReserve, &[&RemoteCharge])],
    ) -> RedisResult<Vec<Result<Option<Reply>, StoreError>>> {
        let charges = requests.iter().flat_map(|(_, charges)| *charges);
        let counters: Vec<_> = charges.map(|charge| &charge.counter).collect();
        let mut call = self.call(&self.scripts.reserve, counters.into_iter());
        call.length(self.lease.length).length(self.lease.keep).length(self.linger());
        for (request, charges) in requests {
            let mut asked = Packed::default();
            asked.id(request.id).instant(request.not_after).length(request.patience);
            for charge in *charges {
                let rule = match charge.lapse(request.lapse) {
                    Lapse::GiveBack => b'r',
                    Lapse::Charge => b'c',
                };
                let units = charge.units(request.units);
                asked.window(&charge.counter).count(units).letter(rule).ceiling(charge.ceiling);
            }
            call.packed(&asked);
        }
        let answers: Vec<i64> = call.run(&self.connection).await?;
        let mut replies = Replies::new("reserve", &answers);
        let replies = requests.iter().map(|(_, charges)| {
            let counters: Vec<_> = charges.iter().map(|charge| &charge.counter).collect();
            replies.next(&counters)
        });
        Ok(replies.collect())
    }
}

/// The verdict of a reply that tells all counts.
pub(super) fn verdict(reply: Reply) -> RemoteVerdict {
    let held = match reply.code {
        Code::Granted => Held::Granted(reply.counts),
        code => refused(code, reply.counts),
    };
    RemoteVerdict { held, now: reply.now }
}

fn scope(charge: &RemoteCharge) -> Scope {
    charge.counter.limit.scope()
}

fn refused(code: Code, counts: Counts) -> Held {
    match code {
        Code::Stale => Held::Stale,
        Code::Denied | Code::Granted => Held::Denied(counts),
    }
}

//! Who plays in a random episode, and what it may occur to them to ask for.

use std::sync::Arc;
use std::time::Duration;

use super::clerk::{Clerk, MILLI, PATIENCE, Slip, limit_key};
use super::model::Model;
use crate::clock::Timestamp;
use crate::contract::dice::Dice;
use crate::contract::earlier;
use crate::count::Spent;
use crate::limits::{Limit, Span, Window};
use crate::store::{
    Change, HoldId, Lapse, Lease, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter,
    RemoteReserve, RemoteSettlement,
};

/// Everybody in one episode. What they ask for follows from the dice and from what was asked for
/// before.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) dice: Dice,
    pub(super) counters: Vec<RemoteCounter>,
    /// The nonce of all ids, and how many there are.
    nonce: u64,
    ids: u64,
    /// All that were ever asked for, granted or not.
    requests: Vec<RemoteReserve>,
    lines: [Line; 2],
}

/// A line of changes. Each is of the same counters.
#[derive(Debug)]
struct Line {
    nonce: u64,
    counters: Vec<RemoteCounter>,
    sent: Vec<RemoteChange>,
}

impl Cast {
    pub(super) fn new<B: RemoteBooks>(clerk: &Clerk<B>, number: u64) -> Self {
        let mut dice = Dice::new(number);
        // Windows of one limit differ in where they start.
        let start = earlier(clerk.now(), MILLI);
        let end = clerk.now().saturating_add(clerk.lease().length);
        let lifetime = Span { start: Timestamp::MIN, end: Timestamp::MAX };
        let requests = limit_key(&Limit::new(1, Window::Lifetime).per_request());
        let in_flight = limit_key(&Limit::new(1, Window::Concurrent));
        let rolling = limit_key(&Limit::new(1, Window::Rolling(Duration::from_secs(90))));
        let mut counters = vec![
            clerk.counter(format!("profile {number}")),
            RemoteCounter { limit: requests, ..clerk.counter(format!("tenant {number}")) },
            clerk.counter_in(format!("profile {number}"), Span { start, end }),
            clerk.counter_in(format!("everyone {number}"), lifetime),
            RemoteCounter {
                limit: rolling,
                ..clerk.counter_in(format!("profile {number}"), lifetime)
            },
        ];
        let lines = [(); 2].map(|()| Line {
            nonce: dice.number(),
            counters: dice.some(&counters),
            sent: Vec::new(),
        });
        let profile = clerk.counter_in(format!("profile {number}"), lifetime);
        counters.push(RemoteCounter { limit: in_flight, ..profile });
        let nonce = dice.number();
        Self { dice, counters, nonce, ids: 0, requests: Vec::new(), lines }
    }

    /// A reserve, new or repeated, of which some come too late or too early.
    pub(super) fn request(&mut self, now: Timestamp, model: &Model) -> RemoteReserve {
        if self.dice.one_in(6) {
            if let Some(request) = self.repeated(now, model) {
                return request;
            }
        }
        let counters = self.dice.some(&self.counters);
        // An error and a stale verdict would both be right.
        let over = counters.iter().any(|counter| model.is_over(counter, now));
        let stale = !over && self.dice.one_in(12);
        let not_after = match self.dice.below(3) {
            0 if stale => earlier(now, MILLI),
            _ if stale => now.saturating_add(PATIENCE + MILLI),
            0 => now,
            _ => now.saturating_add(PATIENCE),
        };
        let request = RemoteReserve {
            id: self.unknown(),
            charges: counters.into_iter().map(|counter| self.charge(counter)).collect(),
            units: self.dice.below(6) + 1,
            lapse: if self.dice.one_in(2) { Lapse::GiveBack } else { Lapse::Charge },
            not_after,
            patience: PATIENCE,
        };
        self.requests.push(request.clone());
        request
    }

    /// A reserve of a hold that lives, sent again.
    fn repeated(&mut self, now: Timestamp, model: &Model) -> Option<RemoteReserve> {
        let open = |charges: &Arc<[RemoteCharge]>| {
            !charges.iter().any(|charge| model.is_over(&charge.counter, now))
        };
        let again = self.requests.iter().filter(|it| model.is_live(it.id) && open(&it.charges));
        let again: Vec<&RemoteReserve> = again.collect();
        let request = (*self.dice.pick(&again)?).clone();
        Some(RemoteReserve { not_after: now.saturating_add(PATIENCE), ..request })
    }

    fn charge(&mut self, counter: RemoteCounter) -> RemoteCharge {
        let ceiling = (!self.dice.one_in(6)).then(|| self.dice.below(30));
        RemoteCharge { counter, ceiling, refunds: None }
    }

    /// An id that no hold has.
    fn unknown(&mut self) -> HoldId {
        self.ids += 1;
        HoldId { nonce: self.nonce, sequence: self.ids }
    }

    /// Some holds that were asked for, whatever has become of them, and sometimes one that never
    /// was.
    pub(super) fn slips(&mut self, now: Timestamp, model: &Model) -> Vec<Slip> {
        let known = self.requests.iter().filter(|it| !model.is_forgotten(it.id, now));
        let slip = |it: &RemoteReserve| Slip { id: it.id, charges: it.charges.clone() };
        let mut slips: Vec<Slip> = known.map(slip).collect();
        // The latest are the likeliest to live.
        if !self.dice.one_in(5) {
            slips = slips.split_off(slips.len().saturating_sub(6));
        }
        if self.dice.one_in(10) {
            let id = self.unknown();
            slips.extend(slips.last().map(|slip| Slip { id, ..slip.clone() }));
        }
        self.dice.some(&slips)
    }

    /// Settlements, of which some come too early and some twice.
    pub(super) fn settlements(&mut self, now: Timestamp, model: &Model) -> Vec<RemoteSettlement> {
        let mut batch = Vec::new();
        for slip in self.slips(now, model) {
            let spent = match self.dice.below(4) {
                0 => Spent::Held,
                1 => Spent::Nothing,
                2 => Spent::Units(0),
                _ => Spent::Units(self.dice.below(10)),
            };
            let after = match self.dice.below(8) {
                0 => Some(now),
                1 => Some(earlier(now, MILLI)),
                _ => None,
            };
            let settlement = RemoteSettlement { after, ..slip.settlement(spent) };
            if after.is_none() && self.dice.one_in(6) {
                batch.push(settlement.clone());
            }
            batch.push(settlement);
        }
        batch
    }

    /// The next change of a line, or one of those before it again.
    pub(super) fn change(&mut self) -> RemoteChange {
        let dice = &mut self.dice;
        let change = match dice.below(5) {
            0 => Change::Reset,
            1 | 2 => Change::Credit(dice.below(8)),
            _ => Change::Debit(dice.below(8)),
        };
        let [one, other] = &mut self.lines;
        let line = if dice.one_in(2) { one } else { other };
        if dice.one_in(4) {
            if let Some(again) = dice.pick(&line.sent) {
                return again.clone();
            }
        }
        let last = line.sent.last().map_or(0, |change| change.sequence);
        let (nonce, counters) = (line.nonce, line.counters.clone());
        let sequence = last + 1 + dice.below(2);
        let change = RemoteChange { nonce, sequence, counters, change };
        line.sent.push(change.clone());
        change
    }

    /// How long nothing happens.
    pub(super) fn time(&mut self, lease: Lease) -> Duration {
        let times = [
            MILLI,
            Duration::from_secs(1),
            lease.length / 4,
            lease.length / 2,
            lease.length - MILLI,
            lease.length,
            lease.length + MILLI,
        ];
        let long = self.dice.one_in(25);
        self.dice.pick(&times).copied().filter(|_| !long).unwrap_or(lease.keep)
    }
}

//! Random episodes, compared step by step with a model. Other than in those of the contract, the
//! clock is also set back.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "dice show small numbers"
)]

use std::sync::Arc;
use std::time::Duration;

use tower_quota::store::{
    Change, Lapse, Lease, RedisBooks, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter,
    RemoteReserve, RemoteSettlement, Renewal,
};
use tower_quota::{Limit, LimitKey, ManualClock, ProfileId, Spent, Timestamp, Window};

use super::model::{Expected, Model};
use super::{PATIENCE, id, now};
use crate::support::counters::Counted;
use crate::support::counters::limit_key;
use crate::support::noon;
use crate::support::servers::Redis;

const EPISODES: u64 = 400;
const STEPS: u64 = 60;
const LEASE: Lease = Lease { length: Duration::from_secs(4), keep: Duration::from_secs(12) };
const SECOND: Window = Window::Fixed(Duration::from_secs(10));

/// The same numbers each time.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.roll(one_in) == 0
    }
}

struct Episode<'a> {
    books: &'a RedisBooks,
    clock: &'a ManualClock,
    limits: &'a [(Arc<LimitKey>, Window)],
    scope: ProfileId,
    dice: Dice,
    model: Model,
    /// All that was asked for, granted or not.
    asked: Vec<RemoteReserve>,
    counters: Vec<RemoteCounter>,
    changes: Vec<RemoteChange>,
    steps: Vec<String>,
}

#[tokio::test]
async fn books_do_as_the_model_does() {
    let server = Redis::start();
    let clock = noon();
    let start = now(&clock);
    let books = RedisBooks::builder(server.url())
        .lease(LEASE)
        .clock(clock.clone())
        .connect()
        .await
        .unwrap();
    let windows = [SECOND, Window::Minute, Window::Lifetime];
    let limits = windows.map(|window| (limit_key(Limit::new(1, window)), window));
    for number in 0..EPISODES {
        clock.set(start.into());
        let mut episode = Episode {
            books: &books,
            clock: &clock,
            limits: &limits,
            scope: ProfileId::new(number.to_string()),
            dice: Dice(number),
            model: Model::new(LEASE),
            asked: Vec::new(),
            counters: Vec::new(),
            changes: Vec::new(),
            steps: Vec::new(),
        };
        for _ in 0..STEPS {
            episode.step().await;
            episode.compare(number).await;
        }
    }
}

impl Episode<'_> {
    fn now(&self) -> Timestamp {
        now(self.clock)
    }

    async fn step(&mut self) {
        self.model.pass(self.now());
        match self.dice.roll(10) {
            0..=2 => self.reserve().await,
            3 => self.reserve_again().await,
            4 | 5 => self.settle().await,
            6 => self.renew().await,
            7 => self.change().await,
            _ => self.pass(),
        }
    }

    /// One to three counters, now and then of a window that is over.
    fn some_counters(&mut self) -> Vec<RemoteCounter> {
        let from = self.dice.roll(3);
        let back = if self.dice.chance(4) { self.dice.roll(40) } else { 0 };
        let at = Timestamp::from_millis(self.now().as_millis() - back as i64 * 1_000);
        let counters: Vec<_> = (from..3)
            .map(|index| {
                let (limit, window) = &self.limits[index as usize];
                let window = window.around(at);
                let (scope, limit) = (self.scope.clone(), limit.clone());
                RemoteCounter { scope, tenant: None, limit, window }
            })
            .collect();
        for counter in &counters {
            if !self.counters.contains(counter) {
                self.counters.push(counter.clone());
            }
        }
        counters
    }

    async fn reserve(&mut self) {
        let counters = self.some_counters();
        let ceiling = Some(self.dice.roll(12)).filter(|ceiling| *ceiling > 0);
        let charge = |counter| RemoteCharge { counter, ceiling, refunds: None };
        let offset = match self.dice.roll(12) {
            0 => -1,
            1 => PATIENCE.as_millis() as i64 + 1,
            2 => PATIENCE.as_millis() as i64,
            some => (some - 3) as i64,
        };
        let request = RemoteReserve {
            id: id(self.asked.len() as u64),
            charges: counters.into_iter().map(charge).collect(),
            units: 1 + self.dice.roll(4),
            lapse: if self.dice.chance(2) { Lapse::GiveBack } else { Lapse::Charge },
            not_after: Timestamp::from_millis(self.now().as_millis() + offset),
            patience: PATIENCE,
        };
        self.asked.push(request.clone());
        self.send(&request).await;
    }

    /// The same request once more, while it is known what has become of it.
    async fn reserve_again(&mut self) {
        let Some(asked) = self.some_hold() else { return };
        let request = self.asked[asked].clone();
        if self.model.has(request.id) {
            self.send(&request).await;
        }
    }

    async fn send(&mut self, request: &RemoteReserve) {
        self.steps.push(format!("{request:?}"));
        let expected = self.model.reserve(request, self.now());
        let found = match self.books.reserve(request).await {
            Ok(verdict) => Expected::Held(verdict.held),
            Err(error) => {
                assert_eq!(error.operation(), "count");
                Expected::ClockSkew
            }
        };
        assert_eq!(found, expected, "{:#?}", self.steps);
    }

    fn some_hold(&mut self) -> Option<usize> {
        // The latest more often than others.
        let asked = self.asked.len() as u64;
        let back = self.dice.roll(8);
        asked.checked_sub(1 + back).map(|index| index as usize)
    }

    async fn settle(&mut self) {
        let mut batch = Vec::new();
        for _ in 0..=self.dice.roll(3) {
            let Some(asked) = self.some_hold() else { return };
            let request = &self.asked[asked];
            let spent = self.dice.roll(7);
            batch.push(RemoteSettlement {
                id: request.id,
                counters: request.charges.clone(),
                spent: if spent < 3 { Spent::Held } else { Spent::Units(spent - 3) },
                after: self.dice.chance(4).then_some(request.not_after),
            });
        }
        self.steps.push(format!("{batch:?}"));
        let now = self.now();
        let early = self.books.settle(&batch).await.unwrap();
        let mut expected = Vec::new();
        for settlement in &batch {
            let due = self.model.settle(settlement, now);
            if !due && !expected.contains(&settlement.id) {
                expected.push(settlement.id);
            }
        }
        assert_eq!(early, expected, "{:#?}", self.steps);
    }

    async fn renew(&mut self) {
        let mut batch = Vec::new();
        for _ in 0..=self.dice.roll(3) {
            let Some(asked) = self.some_hold() else { return };
            let request = &self.asked[asked];
            batch.push(Renewal { id: request.id, counters: request.charges.clone() });
        }
        self.steps.push(format!("{batch:?}"));
        self.books.renew(&batch).await.unwrap();
        for renewal in &batch {
            self.model.renew(renewal, self.now());
        }
    }

    async fn change(&mut self) {
        let change = if self.dice.chance(3) && !self.changes.is_empty() {
            self.changes[self.dice.roll(self.changes.len() as u64) as usize].clone()
        } else {
            let change = match self.dice.roll(3) {
                0 => Change::Debit(self.dice.roll(4)),
                1 => Change::Credit(self.dice.roll(6)),
                _ => Change::Reset,
            };
            RemoteChange {
                nonce: self.dice.roll(2),
                sequence: self.changes.len() as u64 + 1,
                counters: self.some_counters(),
                change,
            }
        };
        self.changes.push(change.clone());
        self.steps.push(format!("{change:?}"));
        let allowed = self.model.change(&change, self.now());
        assert_eq!(self.books.change(&change).await.is_ok(), allowed, "{:#?}", self.steps);
    }

    /// A little time, much, or back to an instant since which nothing has lapsed or was forgotten.
    fn pass(&mut self) {
        let by = match self.dice.roll(8) {
            0 => {
                let back = self.now().as_millis() - self.dice.roll(3_000) as i64;
                let to = Timestamp::from_millis(back).max(self.model.no_way_back());
                self.clock.set(to.min(self.now()).into());
                Duration::ZERO
            }
            1 => Duration::from_millis(self.dice.roll(20_000)),
            2..=4 => Duration::from_millis(500 * self.dice.roll(10)),
            _ => Duration::from_millis(self.dice.roll(1_500)),
        };
        self.clock.advance(by);
        self.steps.push(format!("it is {:?}", self.now()));
    }

    async fn compare(&mut self, number: u64) {
        let now = self.now();
        self.model.pass(now);
        let (over, open): (Vec<_>, Vec<_>) =
            self.counters.iter().cloned().partition(|counter| self.model.is_over(counter, now));
        if let Some(over) = over.last() {
            self.books.counted(std::slice::from_ref(over)).await.unwrap_err();
        }
        let found = self.books.counted(&open).await.unwrap();
        let expected: Vec<_> = open.iter().map(|counter| self.model.count(counter)).collect();
        assert_eq!(found, expected, "in episode {number}: {:#?}", self.steps);
    }
}

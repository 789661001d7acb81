//! Random episodes, in books and in the model.

use std::time::Duration;

use tower_quota::store::{
    Change, Held, HoldId, Lapse, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter,
    RemoteReserve, RemoteSettlement, Renewal,
};
use tower_quota::{Clock, ManualClock, Spent, Timestamp, Window};

use super::model::{Model, Said};
use super::{SECOND, counter};

const STEPS: u32 = 40;

/// Does the same in the books and in the model, and compares all that they say.
pub(crate) async fn check_episodes(
    books: &impl RemoteBooks,
    clock: &ManualClock,
    seeds: std::ops::Range<u64>,
) {
    let start = clock.now();
    for seed in seeds {
        clock.set(start.into());
        let mut episode = Episode::new(books, clock, seed);
        for step in 0..STEPS {
            episode.step(step).await;
            episode.compare(step).await;
        }
    }
}

struct Episode<'a, B> {
    books: &'a B,
    clock: &'a ManualClock,
    model: Model,
    dice: Dice,
    seed: u64,
    counters: Vec<RemoteCounter>,
    asked: Vec<RemoteReserve>,
    /// Those that may be sent again, and when they were first.
    changes: Vec<(RemoteChange, Timestamp)>,
    /// The clock is not set back behind a sweep: what that deleted is forgotten.
    swept: Timestamp,
}

impl<'a, B: RemoteBooks> Episode<'a, B> {
    fn new(books: &'a B, clock: &'a ManualClock, seed: u64) -> Self {
        let scope = format!("episode {seed}");
        let short = Window::Fixed(20 * SECOND);
        let windows = [Window::Lifetime, Window::Day, short];
        let mut counters: Vec<_> =
            windows.iter().map(|window| counter(&scope, *window, clock.now())).collect();
        counters.push(counter(&scope, short, clock.now().saturating_add(20 * SECOND)));
        Self {
            books,
            clock,
            model: Model::new(books.lease()),
            dice: Dice(seed),
            seed,
            counters,
            asked: Vec::new(),
            changes: Vec::new(),
            swept: clock.now(),
        }
    }

    async fn step(&mut self, step: u32) {
        match self.dice.below(20) {
            0..8 => self.reserve(step).await,
            8..12 => self.settle(step).await,
            12..14 => self.renew().await,
            14..16 => self.change(step).await,
            16 => self.sweep().await,
            17 => self.set_back(),
            _ => self.advance(),
        }
    }

    async fn reserve(&mut self, step: u32) {
        let request = match self.asked.get(self.dice.below(40)).cloned() {
            Some(again) => RemoteReserve { not_after: self.not_after(), ..again },
            None => self.new_request(step),
        };
        let said = self.model.reserve(&request, self.clock.now());
        let answer = match self.books.reserve(&request).await {
            Ok(verdict) => {
                assert_eq!(verdict.now, self.clock.now());
                match verdict.held {
                    Held::Granted(counts) => Said::Granted(counts.into_vec()),
                    Held::Denied(counts) => Said::Denied(counts.into_vec()),
                    Held::Stale => Said::Stale,
                }
            }
            Err(error) => {
                assert_eq!(error.operation(), "count", "{error:?}");
                Said::Skewed
            }
        };
        assert_eq!(answer, said, "seed {} step {step}: {request:?}", self.seed);
        self.asked.push(request);
    }

    fn new_request(&mut self, step: u32) -> RemoteReserve {
        let charge = |counter: RemoteCounter, ceiling| RemoteCharge { counter, ceiling };
        let charges = (0..self.counters.len())
            .filter_map(|at| {
                let ceiling = [None, Some(0), Some(4), Some(8), Some(12)][self.dice.below(5)];
                let is_in = self.dice.below(2) == 0;
                is_in.then(|| charge(self.counters[at].clone(), ceiling))
            })
            .collect();
        RemoteReserve {
            id: HoldId { nonce: self.seed, sequence: u64::from(step) },
            charges,
            units: 1 + self.dice.below(5) as u64,
            lapse: if self.dice.below(2) == 0 { Lapse::GiveBack } else { Lapse::Charge },
            not_after: self.not_after(),
            patience: 10 * SECOND,
        }
    }

    /// Once in a while too late, or too far ahead; also just not so.
    fn not_after(&mut self) -> Timestamp {
        let ahead = [-1, 0, 1_000, 1_000, 1_000, 1_000, 10_000, 10_001][self.dice.below(8)];
        Timestamp::from_millis(self.clock.now().as_millis() + ahead)
    }

    async fn settle(&mut self, step: u32) {
        let mut batch = Vec::new();
        for _ in 0..=self.dice.below(3) {
            if self.asked.is_empty() {
                return;
            }
            let of = self.asked[self.dice.below(self.asked.len())].clone();
            let spent = [
                Spent::Held,
                Spent::Units(0),
                Spent::Units(3),
                Spent::Units(9),
                Spent::Units(u64::MAX),
            ][self.dice.below(5)];
            let after = (self.dice.below(2) == 0).then_some(of.not_after);
            batch.push(RemoteSettlement { id: of.id, counters: of.charges, spent, after });
        }
        let early = self.model.settle(&batch, self.clock.now());
        let said = self.books.settle(&batch).await.unwrap();
        assert_eq!(said, early, "seed {} step {step}: {batch:?}", self.seed);
    }

    async fn renew(&mut self) {
        let mut batch = Vec::new();
        for of in &self.asked {
            if self.dice.below(3) == 0 {
                batch.push(Renewal { id: of.id, counters: of.charges.clone() });
            }
        }
        self.model.renew(&batch, self.clock.now());
        self.books.renew(&batch).await.unwrap();
    }

    async fn change(&mut self, step: u32) {
        let change = match self.changes.get(self.dice.below(20)) {
            Some((again, _)) => again.clone(),
            None => self.new_change(step),
        };
        let done = self.model.change(&change, self.clock.now());
        let said = self.books.change(&change).await;
        assert_eq!(said.is_ok(), done, "seed {} step {step}: {change:?}", self.seed);
        self.changes.push((change, self.clock.now()));
    }

    fn new_change(&mut self, step: u32) -> RemoteChange {
        let change = [Change::Debit(2), Change::Credit(3), Change::Reset, Change::Debit(u64::MAX)]
            [self.dice.below(4)];
        let counters = self.counters.iter().filter(|_| self.dice.below(2) == 0).cloned().collect();
        let nonce = u64::MAX - self.dice.below(2) as u64;
        RemoteChange { nonce, sequence: 1 + u64::from(step), counters, change }
    }

    async fn sweep(&mut self) {
        self.swept = self.clock.now();
        // The lines of changes that were made so long ago are forgotten.
        let before =
            self.swept.as_millis() - i64::try_from(self.books.lease().keep.as_millis()).unwrap();
        let is_old = |(_, sent): &(_, Timestamp)| sent.as_millis() <= before;
        let forgotten = self.changes.iter().rposition(is_old).map_or(0, |last| last + 1);
        self.changes.drain(..forgotten);
        self.model.sweep(self.clock.now());
        self.books.sweep(1_000_000).await.unwrap();
    }

    fn set_back(&mut self) {
        let back = self.clock.now().as_millis() - self.dice.millis(15);
        self.clock.set(Timestamp::from_millis(back).max(self.swept).into());
    }

    fn advance(&mut self) {
        let by = self.dice.millis(25).unsigned_abs();
        self.clock.advance(Duration::from_millis(by));
    }

    async fn compare(&self, step: u32) {
        let now = self.clock.now();
        let (skewed, open): (Vec<_>, Vec<_>) =
            self.counters.iter().cloned().partition(|of| self.model.is_skewed(of, now));
        for counter in skewed {
            let error = self.books.read(&[counter]).await.unwrap_err();
            assert!(error.is_transient());
        }
        let counts: Vec<_> = open.iter().map(|of| self.model.count(of, now)).collect();
        let said = self.books.read(&open).await.unwrap();
        assert_eq!(said, counts, "seed {} after step {step}", self.seed);
    }
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    /// Up to so many seconds.
    fn millis(&mut self, seconds: usize) -> i64 {
        i64::try_from(self.below(seconds * 1_000)).unwrap()
    }
}

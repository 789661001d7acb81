//! Random episodes in the life of books outside of this process, compared with a plain model.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::Subject;
use super::clerk::{Clerk, MILLI, PATIENCE, Slip};
use super::dice::Dice;
use super::model::Model;
use super::payer::earlier;
use crate::clock::Timestamp;
use crate::count::{Count, Spent};
use crate::error::StoreError;
use crate::limits::Span;
use crate::store::{
    Change, HoldId, Lapse, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteReserve,
    RemoteSettlement, Renewal,
};

const STEPS: u64 = 40;

/// Reserves, settlements (repeated, late, too early, of holds that nobody made), renewals, lapses,
/// changes and sweeps in any order: after each of them, the books say what a plain model says.
///
/// It plays [`Subject::episodes`] of them. If one fails, its number and its steps are printed;
/// [`random_episode`] plays it alone.
pub async fn random_episodes_agree_with_a_plain_model<S: Subject<Books: RemoteBooks>>(subject: &S) {
    for number in 0..subject.episodes() {
        random_episode(subject, number).await;
    }
}

/// One of the [random episodes](random_episodes_agree_with_a_plain_model): the same number plays
/// the same steps.
pub async fn random_episode<S: Subject<Books: RemoteBooks>>(subject: &S, number: u64) {
    let mut episode = Episode::new(Clerk::new(subject).await, number);
    for _ in 0..STEPS {
        episode.step().await;
        episode.compare_counts().await;
    }
}

struct Episode<B> {
    number: u64,
    dice: Dice,
    clerk: Clerk<B>,
    model: Model,
    counters: Vec<RemoteCounter>,
    /// The nonce of all ids, and how many there are.
    nonce: u64,
    ids: u64,
    /// All that were ever asked for, granted or not.
    requests: Vec<RemoteReserve>,
    lines: Vec<Line>,
    /// What has happened, to be printed.
    steps: Vec<String>,
}

/// A line of changes. Each is of the same counters.
struct Line {
    nonce: u64,
    counters: Vec<RemoteCounter>,
    sent: Vec<RemoteChange>,
}

impl<B: RemoteBooks> Episode<B> {
    fn new(clerk: Clerk<B>, number: u64) -> Self {
        let mut dice = Dice::new(number);
        // Windows of one limit differ in where they start.
        let start = earlier(clerk.now(), MILLI);
        let end = clerk.now().saturating_add(clerk.lease().length);
        let lifetime = Span { start: Timestamp::MIN, end: Timestamp::MAX };
        let counters = vec![
            clerk.counter(format!("profile {number}")),
            clerk.counter(format!("tenant {number}")),
            clerk.counter_in(format!("profile {number}"), Span { start, end }),
            clerk.counter_in(format!("everyone {number}"), lifetime),
        ];
        let line = |dice: &mut Dice| Line {
            nonce: dice.number(),
            counters: dice.some(&counters),
            sent: Vec::new(),
        };
        let lines = vec![line(&mut dice), line(&mut dice)];
        let model = Model::new(clerk.lease());
        let nonce = dice.number();
        let (ids, requests, steps) = (0, Vec::new(), Vec::new());
        Self { number, dice, clerk, model, counters, nonce, ids, requests, lines, steps }
    }

    async fn step(&mut self) {
        match self.dice.below(100) {
            0..40 => self.reserve().await,
            40..62 => self.settle().await,
            62..70 => self.renew().await,
            70..80 => self.change().await,
            80..95 => self.wait(),
            _ => self.sweep().await,
        }
    }

    async fn reserve(&mut self) {
        let request = self.request();
        let told = self.tell(&request.charges);
        let RemoteReserve { id, units, lapse, not_after, .. } = &request;
        self.steps.push(format!(
            "reserve {}: {units} of {told}, {lapse:?}, not after {not_after:?}",
            id.sequence
        ));
        let expected = self.model.reserve(&request, self.clerk.now());
        let verdict = self.clerk.books.reserve(&request).await;
        self.agree("the verdict", &verdict.map(|verdict| verdict.held), &expected);
        self.requests.push(request);
    }

    fn request(&mut self) -> RemoteReserve {
        let now = self.clerk.now();
        let live = |request: &&RemoteReserve| self.model.is_live(request.id);
        let live: Vec<RemoteReserve> = self.requests.iter().filter(live).cloned().collect();
        let repeated = if self.dice.one_in(5) { self.dice.pick(&live).cloned() } else { None };
        if let Some(request) = repeated {
            return RemoteReserve { not_after: now.saturating_add(PATIENCE), ..request };
        }
        let charges: Arc<[RemoteCharge]> = self
            .dice
            .some(&self.counters)
            .into_iter()
            .map(|counter| self.charge(counter))
            .collect();
        // An error and a stale verdict would both be right.
        let over = charges.iter().any(|charge| self.model.is_over(&charge.counter, now));
        let stale = !over && self.dice.one_in(12);
        let not_after = match self.dice.below(3) {
            0 if stale => earlier(now, MILLI),
            _ if stale => now.saturating_add(PATIENCE + MILLI),
            0 => now,
            _ => now.saturating_add(PATIENCE),
        };
        RemoteReserve {
            id: self.unknown(),
            charges,
            units: self.dice.below(6) + 1,
            lapse: if self.dice.one_in(2) { Lapse::GiveBack } else { Lapse::Charge },
            not_after,
            patience: PATIENCE,
        }
    }

    fn charge(&mut self, counter: RemoteCounter) -> RemoteCharge {
        let ceiling = (!self.dice.one_in(6)).then(|| self.dice.below(30));
        RemoteCharge { counter, ceiling }
    }

    /// An id that no hold has.
    fn unknown(&mut self) -> HoldId {
        self.ids += 1;
        HoldId { nonce: self.nonce, sequence: self.ids }
    }

    /// Some that were asked for, whatever has become of them, and sometimes one that never was.
    fn slips(&mut self) -> Vec<Slip> {
        let now = self.clerk.now();
        let known = |request: &&RemoteReserve| !self.model.is_forgotten(request.id, now);
        let known = self.requests.iter().filter(known);
        let slip =
            |request: &RemoteReserve| Slip { id: request.id, charges: request.charges.clone() };
        let mut slips: Vec<Slip> = known.map(slip).collect();
        // The latest are the likeliest to live.
        let recent = slips.split_off(slips.len().saturating_sub(6));
        if self.dice.one_in(10) {
            let id = self.unknown();
            slips.extend(recent.last().map(|slip| Slip { id, ..slip.clone() }));
        }
        let recent = if self.dice.one_in(5) { slips } else { recent };
        self.dice.some(&recent)
    }

    async fn settle(&mut self) {
        let mut batch: Vec<RemoteSettlement> = Vec::new();
        for slip in self.slips() {
            let spent = match self.dice.below(3) {
                0 => Spent::Held,
                1 => Spent::Units(0),
                _ => Spent::Units(self.dice.below(10)),
            };
            let now = self.clerk.now();
            let after = match self.dice.below(8) {
                0 => Some(now),
                1 => Some(earlier(now, MILLI)),
                _ => None,
            };
            let settlement = RemoteSettlement { after, ..slip.settlement(spent) };
            if self.dice.one_in(6) && after.is_none() {
                batch.push(settlement.clone());
            }
            batch.push(settlement);
        }
        let told = batch.iter().map(|settlement| {
            let RemoteSettlement { id, spent, after, .. } = settlement;
            format!("{}: {spent:?}, after {after:?}", id.sequence)
        });
        self.steps.push(format!("settle {}", told.collect::<Vec<_>>().join(", ")));
        let mut expected = self.model.settle(&batch, self.clerk.now());
        let mut early = self.clerk.books.settle(&batch).await;
        expected.sort_by_key(|id| (id.nonce, id.sequence));
        if let Ok(early) = &mut early {
            early.sort_by_key(|id| (id.nonce, id.sequence));
        }
        self.agree("what came too early", &early, &Ok(expected));
    }

    async fn renew(&mut self) {
        let batch: Vec<Renewal> = self.slips().iter().map(Slip::renewal).collect();
        let ids: Vec<u64> = batch.iter().map(|renewal| renewal.id.sequence).collect();
        self.steps.push(format!("renew {ids:?}"));
        self.model.renew(&batch, self.clerk.now());
        let renewed = self.clerk.books.renew(&batch).await;
        self.agree("the renewal", &renewed, &Ok(()));
    }

    async fn change(&mut self) {
        let (again, place) = (self.dice.one_in(4), self.dice.one_in(2));
        let change = match self.dice.below(5) {
            0 => Change::Reset,
            1 | 2 => Change::Credit(self.dice.below(8)),
            _ => Change::Debit(self.dice.below(8)),
        };
        let skipped = self.dice.below(2);
        let Some(line) = self.lines.get_mut(usize::from(place)) else { return };
        let repeated = self.dice.pick(&line.sent).filter(|_| again).cloned();
        let next = line.sent.iter().map(|change| change.sequence).max().unwrap_or(0) + 1;
        let change = repeated.unwrap_or_else(|| RemoteChange {
            nonce: line.nonce,
            sequence: next + skipped,
            counters: line.counters.clone(),
            change,
        });
        line.sent.push(change.clone());
        let places: Vec<_> = change.counters.iter().map(|counter| self.place(counter)).collect();
        let RemoteChange { nonce, sequence, change: what, .. } = &change;
        self.steps.push(format!("change {sequence} of {nonce}: {what:?} of {places:?}"));
        let expected = self.model.change(&change, self.clerk.now());
        let changed = self.clerk.books.change(&change).await;
        self.agree("the change", &changed, &expected);
    }

    fn wait(&mut self) {
        let lease = self.clerk.lease();
        let times = [
            MILLI,
            Duration::from_secs(1),
            lease.length / 4,
            lease.length / 2,
            lease.length - MILLI,
            lease.length,
            lease.length + MILLI,
        ];
        let forgetful = self.dice.one_in(25);
        let time = self.dice.pick(&times).copied().filter(|_| !forgetful).unwrap_or(lease.keep);
        self.clerk.clock.advance(time);
        self.model.pass(self.clerk.now());
        self.steps.push(format!("wait {time:?}, until {:?}", self.clerk.now()));
    }

    async fn sweep(&mut self) {
        let at_most = if self.dice.one_in(2) { 1 } else { 1_000 };
        self.steps.push(format!("sweep {at_most}"));
        let swept = self.clerk.books.sweep(at_most).await;
        let within = swept.map(|swept| swept <= at_most);
        self.agree("whether a sweep kept to its bound", &within, &Ok(true));
    }

    async fn compare_counts(&self) {
        let now = self.clerk.now();
        let open = self.counters.iter().filter(|counter| !self.model.is_over(counter, now));
        let open: Vec<RemoteCounter> = open.cloned().collect();
        let counts: Vec<Count> = open.iter().map(|counter| self.model.count(counter)).collect();
        let read = self.clerk.books.read(&open).await;
        self.agree("the counts", &read, &Ok(counts));
    }

    /// Counters by their place, and their ceilings.
    fn tell(&self, charges: &[RemoteCharge]) -> String {
        let told = charges.iter().map(|charge| (self.place(&charge.counter), charge.ceiling));
        format!("{:?}", told.collect::<Vec<_>>())
    }

    fn place(&self, counter: &RemoteCounter) -> usize {
        self.counters.iter().take_while(|known| *known != counter).count()
    }

    /// Whether books and model say the same. Errors are compared by what is printed of them.
    fn agree<T: Debug>(
        &self,
        what: &str,
        books: &Result<T, StoreError>,
        model: &Result<T, StoreError>,
    ) {
        let (books, model) = (format!("{books:?}"), format!("{model:?}"));
        assert!(
            books == model,
            "episode {} differs in {what} after step {}\n  books: {books}\n  model: {model}\n  {}",
            self.number,
            self.steps.len(),
            self.steps.join("\n  "),
        );
    }
}

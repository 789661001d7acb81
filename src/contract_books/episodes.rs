//! Random episodes in the life of books outside of this process, compared with a plain model.

use std::fmt::Debug;

use super::cast::Cast;
use super::clerk::{Clerk, Slip, charges};
use super::model::Model;
use crate::contract::Subject;
use crate::count::{Count, Counts};
use crate::error::StoreError;
use crate::store::{
    Held, HoldId, RemoteBooks, RemoteChange, RemoteCounter, RemoteReserve, RemoteSettlement,
    RemoteVerdict, Renewal,
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

/// One of the [random episodes](random_episodes_agree_with_a_plain_model), which follows from its
/// number. In the same books it can be played once.
pub async fn random_episode<S: Subject<Books: RemoteBooks>>(subject: &S, number: u64) {
    let mut episode = Episode::new(Clerk::new(subject).await, number);
    for _ in 0..STEPS {
        episode.step().await;
        episode.compare_counts().await;
    }
}

struct Episode<B> {
    number: u64,
    cast: Cast,
    clerk: Clerk<B>,
    model: Model,
    /// What has happened, to be printed.
    steps: Vec<String>,
}

impl<B: RemoteBooks> Episode<B> {
    fn new(clerk: Clerk<B>, number: u64) -> Self {
        let (cast, model) = (Cast::new(&clerk, number), Model::new(clerk.lease()));
        Self { number, cast, clerk, model, steps: Vec::new() }
    }

    async fn step(&mut self) {
        match self.cast.dice.below(100) {
            0..40 => self.reserve().await,
            40..62 => self.settle().await,
            62..70 => self.renew().await,
            70..80 => self.change().await,
            80..95 => self.wait(),
            _ => self.sweep().await,
        }
    }

    async fn reserve(&mut self) {
        let request = self.cast.request(self.clerk.now(), &self.model);
        let charges = request.charges.iter();
        let charges = charges.map(|charge| (self.place(&charge.counter), charge.ceiling));
        let charges: Vec<_> = charges.collect();
        let RemoteReserve { id: HoldId { sequence, .. }, units, lapse, not_after, .. } = &request;
        self.steps.push(format!(
            "reserve {sequence}: {units} of {charges:?}, {lapse:?}, not after {not_after:?}"
        ));
        let expected = self.model.reserve(&request, self.clerk.now());
        let read = self.clerk.books.read(&request.charges, request.units).await;
        let verdict = self.clerk.books.reserve(&request).await;
        if let Ok(RemoteVerdict { held: Held::Denied(told), .. }) = &verdict {
            // To the instant at which units come back.
            self.agree("what was read before", &read.map(Counts::from), &Ok(told.clone()));
        }
        let counters = request.charges.iter().map(|charge| &charge.counter);
        let held = verdict.map(|verdict| match verdict.held {
            Held::Granted(counts) => Held::Granted(plain(counts, counters)),
            Held::Denied(counts) => Held::Denied(plain(counts, counters)),
            Held::Stale => Held::Stale,
        });
        self.agree("the verdict", &held, &expected);
    }

    async fn settle(&mut self) {
        let batch = self.cast.settlements(self.clerk.now(), &self.model);
        let told = batch.iter().map(|settlement| {
            let RemoteSettlement { id: HoldId { sequence, .. }, spent, after, .. } = settlement;
            format!("{sequence}: {spent:?}, after {after:?}")
        });
        self.steps.push(format!("settle {}", told.collect::<Vec<_>>().join(", ")));
        let mut expected = self.model.settle(&batch, self.clerk.now());
        let mut early = self.clerk.books.settle(&batch).await;
        expected.sort_by_key(|id| id.sequence);
        if let Ok(early) = &mut early {
            early.sort_by_key(|id| id.sequence);
        }
        self.agree("what came too early", &early, &Ok(expected));
    }

    async fn renew(&mut self) {
        let slips = self.cast.slips(self.clerk.now(), &self.model);
        let batch: Vec<Renewal> = slips.iter().map(Slip::renewal).collect();
        let told: Vec<u64> = batch.iter().map(|renewal| renewal.id.sequence).collect();
        self.steps.push(format!("renew {told:?}"));
        self.model.renew(&batch, self.clerk.now());
        let renewed = self.clerk.books.renew(&batch).await;
        self.agree("the renewal", &renewed, &Ok(()));
    }

    async fn change(&mut self) {
        let change = self.cast.change();
        let counters: Vec<_> = change.counters.iter().map(|counter| self.place(counter)).collect();
        let RemoteChange { nonce, sequence, change: what, .. } = &change;
        self.steps.push(format!("change {sequence} of {nonce}: {what:?} of {counters:?}"));
        let expected = self.model.change(&change, self.clerk.now());
        let changed = self.clerk.books.change(&change).await;
        self.agree("the change", &changed, &expected);
    }

    fn wait(&mut self) {
        let time = self.cast.time(self.clerk.lease());
        self.clerk.clock.advance(time);
        self.model.pass(self.clerk.now());
        self.steps.push(format!("wait {time:?}, until {:?}", self.clerk.now()));
    }

    async fn sweep(&mut self) {
        let at_most = if self.cast.dice.one_in(2) { 1 } else { 1_000 };
        self.steps.push(format!("sweep {at_most}"));
        let swept = self.clerk.books.sweep(at_most).await;
        let within = swept.map(|swept| swept <= at_most);
        self.agree("whether a sweep kept to its bound", &within, &Ok(true));
    }

    async fn compare_counts(&self) {
        let now = self.clerk.now();
        let open = self.cast.counters.iter().filter(|counter| !self.model.is_over(counter, now));
        let open: Vec<RemoteCounter> = open.cloned().collect();
        let counts = open.iter().map(|counter| self.model.count(counter, now));
        let read = self.clerk.books.read(&charges(&open, None), 0).await;
        let read = read.map(|counts| plain(counts.into(), open.iter()));
        self.agree("the counts", &read, &Ok(counts.collect()));
    }

    /// Which of the counters it is.
    fn place(&self, counter: &RemoteCounter) -> usize {
        self.cast.counters.iter().take_while(|known| *known != counter).count()
    }

    /// Whether books and model say the same. Errors are compared by what is printed of them.
    fn agree<T: Debug + PartialEq>(
        &self,
        what: &str,
        books: &Result<T, StoreError>,
        model: &Result<T, StoreError>,
    ) {
        let same = match (books, model) {
            (Ok(books), Ok(model)) => books == model,
            (books, model) => format!("{books:?}") == format!("{model:?}"),
        };
        assert!(
            same,
            "episode {} differs in {what} after step {}\n  books: {books:?}\n  model: {model:?}\n  {}",
            self.number,
            self.steps.len(),
            self.steps.join("\n  "),
        );
    }
}

/// Counts without what books alone know: when units come back where a window rolls.
fn plain<'a>(counts: Counts, counters: impl Iterator<Item = &'a RemoteCounter>) -> Counts {
    let each = counts.into_iter().zip(counters);
    each.map(|(count, counter)| Count { window: counter.window, ..count }).collect()
}

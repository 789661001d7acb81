//! Books outside of the process, at the end of a wire on which a test lets things go wrong.

mod books;

use std::collections::VecDeque;
use std::future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::sleep;
use tower_quota::store::{
    HoldId, Lease, RemoteBooks, RemoteChange, RemoteCharge, RemoteCounter, RemoteOpening,
    RemoteReserve, RemoteSettlement, RemoteVerdict, Renewal,
};
use tower_quota::{Count, Span, Spent, StoreError, Timestamp};

use self::books::Books;

/// What the books are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Reserve,
    Settle,
    Renew,
    Read,
    Change,
    Open,
    Last,
    Time,
    Sweep,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The connection is lost before the call arrives.
    Lost,
    /// The books refuse, and will again.
    Refused,
    /// The books say that the clock lags.
    Skewed,
    /// Neither the call nor an answer ever arrives.
    Hangs,
    /// It is executed so much later, and answered.
    Slow(Duration),
    /// It is executed, and the answer is lost.
    Unanswered,
    /// It is executed so much later, whoever waits for it, and the answer is lost.
    Late(Duration),
    /// The books' clock shows an hour more just before it is executed.
    Steps,
    /// The driver panics.
    Panics,
}

/// One process's wire to books that may be shared.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    books: Arc<Mutex<Books>>,
    line: Arc<Mutex<Line>>,
}

#[derive(Debug, Default)]
struct Line {
    /// What will go wrong with the next calls of a verb.
    faults: VecDeque<(Verb, Fault)>,
    /// What goes wrong with every call.
    cut: Option<Fault>,
    calls: Vec<Verb>,
    /// A commit of so many units cannot be written.
    refused: Option<u64>,
}

impl Wire {
    /// Empty books, whose clock is three hours ahead of noon.
    pub(crate) fn new() -> Self {
        Self::leasing(Lease::default())
    }

    pub(crate) fn leasing(lease: Lease) -> Self {
        Self { books: Arc::new(Mutex::new(Books::new(lease))), line: Arc::default() }
    }

    /// Another process's wire to the same books.
    pub(crate) fn another(&self) -> Self {
        Self { books: self.books.clone(), line: Arc::default() }
    }

    /// The next call of `verb` that nothing else happens to ends in `fault`.
    pub(crate) fn next(&self, verb: Verb, fault: Fault) {
        self.line().faults.push_back((verb, fault));
    }

    /// Every call ends in `fault`, until it is mended.
    pub(crate) fn cut(&self, fault: Fault) {
        self.line().cut = Some(fault);
    }

    /// No batch is written in which so many units are committed.
    pub(crate) fn refuse(&self, units: u64) {
        self.line().refused = Some(units);
    }

    pub(crate) fn mend(&self) {
        self.line().cut = None;
    }

    /// How often `verb` was called.
    pub(crate) fn calls(&self, verb: Verb) -> usize {
        self.line().calls.iter().filter(|call| **call == verb).count()
    }

    /// How many hold on to this wire.
    pub(crate) fn users(&self) -> usize {
        Arc::strong_count(&self.line)
    }

    /// Moves the books' clock.
    pub(crate) fn set_ahead(&self, by: i64) {
        self.books().ahead = by;
    }

    /// What is used and held in all counters, at present.
    pub(crate) fn used_and_held(&self) -> (u64, u64) {
        let mut books = self.books();
        books.lapse();
        let sum = |(used, held), count: &Count| (used + count.used, held + count.held);
        books.counters.values().fold((0, 0), sum)
    }

    /// Settlements that have changed something, in their order.
    pub(crate) fn settled(&self) -> Vec<HoldId> {
        self.books().settled.clone()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    async fn call<T>(
        &self,
        verb: Verb,
        execute: impl FnOnce(&mut Books) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let fault = self.line().fault(verb);
        if matches!(fault, Some(Fault::Steps)) {
            self.books().ahead += 3_600_000;
        }
        if let Some(Fault::Slow(by)) = fault {
            sleep(by).await;
        }
        match fault {
            None | Some(Fault::None | Fault::Slow(_) | Fault::Steps) => {
                let mut books = self.books();
                books.lapse();
                return Ok(execute(&mut books));
            }
            Some(Fault::Lost) => return Err(StoreError::transient("call", "the wire is cut")),
            Some(Fault::Refused) => return Err(StoreError::permanent("call", "not you")),
            Some(Fault::Skewed) => return Err(StoreError::clock_skew(Timestamp::MIN)),
            Some(Fault::Panics) => panic!("the driver has a bug"),
            Some(Fault::Hangs) => {}
            Some(Fault::Unanswered) => drop(execute(&mut self.books())),
            Some(Fault::Late(by)) => {
                let books = self.books.clone();
                tokio::spawn(async move {
                    sleep(by).await;
                    execute(&mut books.lock().unwrap());
                });
            }
        }
        future::pending().await
    }
}

impl Line {
    fn fault(&mut self, verb: Verb) -> Option<Fault> {
        self.calls.push(verb);
        if let Some(next) = self.faults.iter().position(|(next, _)| *next == verb) {
            return self.faults.remove(next).map(|(_, fault)| fault);
        }
        self.cut
    }
}

impl RemoteBooks for Wire {
    fn lease(&self) -> Lease {
        self.books().lease
    }

    async fn reserve(&self, request: &RemoteReserve) -> Result<RemoteVerdict, StoreError> {
        let request = request.clone();
        self.call(Verb::Reserve, move |books| books.reserve(&request)).await
    }

    async fn settle(&self, batch: &[RemoteSettlement]) -> Result<Vec<HoldId>, StoreError> {
        let batch = batch.to_vec();
        let refused = self.line().refused.map(Spent::Units);
        if batch.iter().any(|settlement| Some(settlement.spent) == refused) {
            return Err(StoreError::permanent("settle", "no such number"));
        }
        self.call(Verb::Settle, move |books| books.settle(&batch)).await
    }

    async fn renew(&self, batch: &[Renewal]) -> Result<(), StoreError> {
        let batch = batch.to_vec();
        assert!(batch.len() <= 256);
        self.call(Verb::Renew, move |books| books.renew(&batch)).await
    }

    async fn read(&self, charges: &[RemoteCharge], _units: u64) -> Result<Vec<Count>, StoreError> {
        let counters: Vec<_> = charges.iter().map(|charge| charge.counter.clone()).collect();
        self.call(Verb::Read, move |books| counters.iter().map(|it| books.count(it)).collect())
            .await
    }

    async fn change(&self, change: &RemoteChange) -> Result<(), StoreError> {
        let change = change.clone();
        self.call(Verb::Change, move |books| books.change(&change)).await
    }

    async fn open(&self, opening: &RemoteOpening) -> Result<Span, StoreError> {
        let opening = opening.clone();
        self.call(Verb::Open, move |books| books.open(&opening)).await
    }

    async fn last(&self, counters: &[RemoteCounter]) -> Result<Vec<Option<Span>>, StoreError> {
        let counters = counters.to_vec();
        self.call(Verb::Last, move |books| counters.iter().map(|it| books.last(it)).collect()).await
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        self.call(Verb::Time, |books| books.now()).await
    }

    async fn sweep(&self, at_most: u32) -> Result<u32, StoreError> {
        self.call(Verb::Sweep, move |books| books.sweep(at_most)).await
    }
}

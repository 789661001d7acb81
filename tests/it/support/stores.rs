//! Stores that behave as remote ones may: slow, and out of reach; and one without books.

use std::fmt;

use futures::future::FutureExt;
use tokio::sync::watch;
use tower_quota::store::{Answer, Change, Charge, Counter, MemoryStore, Reserve, Store, Verdict};
use tower_quota::{Count, StoreError, Timestamp};

/// The memory store behind a slow wire: what it has decided is heard once the gate is open.
#[derive(Debug)]
pub(crate) struct SlowStore {
    books: MemoryStore,
    gate: watch::Receiver<bool>,
}

/// Opens the wire.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }
}

impl SlowStore {
    /// A store whose gate is shut.
    pub(crate) fn new() -> (Self, Gate) {
        let (gate, receiver) = watch::channel(false);
        let store = Self { books: MemoryStore::new(), gate: receiver };
        (store, Gate(gate))
    }
}

impl Store for SlowStore {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        let Answer::Ready(verdict) = self.books.reserve(request) else {
            panic!("the memory store never waits");
        };
        let mut gate = self.gate.clone();
        let heard = async move {
            gate.wait_for(|open| *open).await.unwrap();
            verdict
        };
        Answer::Pending(heard.boxed())
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        self.books.read(charges, units, now)
    }

    fn change(
        &self,
        counters: &[Counter<'_>],
        change: Change,
        now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        self.books.change(counters, change, now)
    }
}

/// A store that cannot be reached: at once, or after it was waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BrokenStore {
    AtOnce,
    Later,
}

impl BrokenStore {
    fn fail<T: Send + 'static>(self) -> Answer<Result<T, StoreError>> {
        let error = StoreError::transient("answer", "the wire is cut");
        match self {
            Self::AtOnce => Answer::Ready(Err(error)),
            Self::Later => {
                let failed = tokio::task::yield_now().map(|()| Err(error));
                Answer::Pending(failed.boxed())
            }
        }
    }
}

impl Store for BrokenStore {
    fn reserve(&self, _request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        self.fail()
    }

    fn read(
        &self,
        _charges: &[Charge<'_>],
        _units: u64,
        _now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        self.fail()
    }

    fn change(
        &self,
        _counters: &[Counter<'_>],
        _change: Change,
        _now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        self.fail()
    }
}

/// A store without books: the closure answers every reservation.
pub(crate) struct Scripted<F>(pub(crate) F);

impl<F> fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

impl<F> Store for Scripted<F>
where
    F: Fn(Reserve<'_>) -> Verdict + Send + Sync + 'static,
{
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        Answer::Ready(Ok((self.0)(request)))
    }

    fn read(
        &self,
        charges: &[Charge<'_>],
        _units: u64,
        _now: Timestamp,
    ) -> Answer<Result<Vec<Count>, StoreError>> {
        let unused = charges.iter().map(|charge| Count::unused(charge.counter.window));
        Answer::Ready(Ok(unused.collect()))
    }

    fn change(
        &self,
        _counters: &[Counter<'_>],
        _change: Change,
        _now: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }
}

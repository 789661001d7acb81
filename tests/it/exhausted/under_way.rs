//! Denials that are under way while a change is.

use futures::future::FutureExt;
use tokio::sync::watch;
use tower_quota::store::{Answer, Change, Charge, Counter, Reserve, Store, Verdict};
use tower_quota::{Count, Limit, StoreError, Timestamp, Window};

use super::engine;
use crate::support::{SharedBooks, SlowStore, denied, granted, noon, now, profile, reserve, spend};

/// The denial was decided before the credit, and is heard after it.
#[tokio::test]
async fn a_denial_that_was_under_way_during_a_credit_is_not_remembered() {
    let (store, gate) = SlowStore::new();
    let quotas = engine(store, &noon(), [Limit::new(1, Window::Day)]);
    let payer = profile("7");
    now(quotas.debit(&payer, "remix", 1)).unwrap();
    let under_way = quotas.reserve(&payer, "remix", 1);
    now(quotas.credit(&payer, "remix", 1)).unwrap();
    gate.open();
    let _ = denied(under_way.await.unwrap());
    granted(quotas.reserve(&payer, "remix", 1).await.unwrap()).commit();
}

/// Books that make a change once their gate is open.
#[derive(Debug)]
struct LateChange {
    books: SharedBooks,
    gate: watch::Receiver<bool>,
}

impl Store for LateChange {
    fn reserve(&self, request: Reserve<'_>) -> Answer<Result<Verdict, StoreError>> {
        self.books.reserve(request)
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
        moment: Timestamp,
    ) -> Answer<Result<(), StoreError>> {
        let (books, mut gate) = (self.books.clone(), self.gate.clone());
        let owned =
            |counter: &Counter<'_>| (counter.scope.clone(), counter.limit.clone(), counter.window);
        let counters: Vec<_> = counters.iter().map(owned).collect();
        let changed = async move {
            gate.wait_for(|open| *open).await.unwrap();
            let counters = counters.iter();
            let counters = counters.map(|(scope, limit, window)| Counter {
                scope,
                tenant: None,
                limit,
                window: *window,
                next_end: window.end,
            });
            now(books.change(&counters.collect::<Vec<_>>(), change, moment))
        };
        Answer::Pending(changed.boxed())
    }
}

/// The denial is asked for and heard while the credit is under way.
#[tokio::test]
async fn a_denial_of_before_a_slow_credit_is_not_remembered_after_it() {
    let (open, gate) = watch::channel(false);
    let books = SharedBooks::default();
    let clock = noon();
    let store = LateChange { books: books.clone(), gate };
    let quotas = engine(store, &clock, [Limit::new(1, Window::Day)]);
    let payer = profile("7");
    spend(&books.remix(&clock, [Limit::new(1, Window::Day)]), &payer, 1);
    let credit = quotas.credit(&payer, "remix", 1);
    let _ = denied(reserve(&quotas, &payer));
    open.send_replace(true);
    credit.await.unwrap();
    granted(reserve(&quotas, &payer)).commit();
}

//! An engine on books outside of this process, as each process that shares them has one.

use std::error::Error as _;

use tower_quota::store::{Remote, RemoteBooks, RemoteOptions};
use tower_quota::{
    Clock, Decision, Error, Limit, Plan, Profile, Quotas, Reservation, StoreError, Window,
};

use super::{Duration, granted, profile};

/// A feature of one limit. Some books hold its units in a shorter way than those of several.
pub(crate) const REMIX: &str = "remix";
/// A feature of two limits.
pub(crate) const CHAT: &str = "chat";

/// How long a flush may take. It is only reached if it hangs.
const FLUSH: Duration = Duration::from_secs(60);

/// An engine, and who pays. Amounts are for a lifetime: no window ends while a test runs.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    quotas: Quotas,
    payer: Profile,
}

impl Engine {
    /// An engine that grants `amount` units of each feature, and waits for books as long as `timeout`.
    pub(crate) fn new(
        books: impl RemoteBooks,
        timeout: Duration,
        amount: u64,
        clock: impl Clock,
    ) -> Self {
        let limit = || Limit::new(amount, Window::Lifetime);
        let plan = Plan::new("free")
            .feature(REMIX, [limit()])
            .feature(CHAT, [limit(), limit().named("more")]);
        let options = RemoteOptions::new().timeout(timeout).flush_within(FLUSH);
        let builder = Quotas::builder().plan(plan).clock(clock);
        let quotas = builder.store(Remote::new(books, options)).build().unwrap();
        Self { quotas, payer: profile("7") }
    }

    /// The same engine, and another payer.
    pub(crate) fn paid_by(&self, id: &str) -> Self {
        Self { payer: profile(id), ..self.clone() }
    }

    pub(crate) async fn decide(&self, feature: &str) -> Result<Decision, StoreError> {
        self.quotas.reserve(&self.payer, feature, 1).await.map_err(store_error)
    }

    /// Reserves what has to be granted.
    pub(crate) async fn grant(&self, feature: &str) -> Reservation {
        granted(self.decide(feature).await.unwrap())
    }

    /// Reserves what has to be denied.
    pub(crate) async fn deny(&self, feature: &str) {
        crate::support::denied(self.decide(feature).await.unwrap());
    }

    /// Reserves what has to fail.
    pub(crate) async fn failure(&self, feature: &str) -> StoreError {
        self.decide(feature).await.unwrap_err()
    }

    /// Reserves and commits what has to be granted.
    pub(crate) async fn spend(&self, feature: &str) {
        self.grant(feature).await.commit();
        self.flush().await;
    }

    /// Spends until it is denied, and says how many units that were.
    pub(crate) async fn spend_the_rest(&self, feature: &str) -> u64 {
        let mut spent = 0;
        while let Decision::Granted(reservation) = self.decide(feature).await.unwrap() {
            reservation.commit();
            spent += 1;
        }
        self.flush().await;
        spent
    }

    pub(crate) async fn debit(&self, feature: &str, units: u64) -> Result<(), StoreError> {
        self.quotas.debit(&self.payer, feature, units).await.map_err(store_error)
    }

    /// Waits until all settlements are written.
    pub(crate) async fn flush(&self) {
        self.quotas.flush().await.unwrap();
    }

    /// What is used and held of the first limit, where all limits of the feature have the same.
    pub(crate) async fn count(&self, feature: &str) -> (u64, u64) {
        let usage = self.quotas.usage(&self.payer).await.map_err(store_error).unwrap();
        let standing = usage.feature(feature).unwrap();
        let mut counts = standing.statuses().map(|status| (status.used(), status.held()));
        let first = counts.next().unwrap();
        assert!(counts.all(|count| count == first), "{standing:?}");
        first
    }
}

fn store_error(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        other => panic!("{other}"),
    }
}

/// Why a store failed, in words.
pub(crate) fn reason(error: &StoreError) -> String {
    error.source().unwrap().to_string()
}

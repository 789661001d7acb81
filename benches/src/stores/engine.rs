//! An engine over a store, and who spends there.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tower_quota::store::{PostgresBooks, Remote, RemoteBooks, RemoteOptions, SqliteBooks, Store};
use tower_quota::{
    Clock, Decision, Limit, Plan, Profile, Quotas, Reservation, SystemClock, Window,
};

use super::servers::{Directory, Postgres};
use crate::exchange::shuffled;
use crate::peers::{PLENTY, ours};

/// A feature with one limit.
pub(crate) const ONE: &str = "one";

/// A feature with three limits.
pub(crate) const THREE: &str = "three";

/// A feature with a limit of nothing but one unit.
pub(crate) const SCARCE: &str = "scarce";

/// Longer than a busy machine makes anybody wait: no call is to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How books are treated here.
pub(crate) fn options() -> RemoteOptions {
    RemoteOptions::new().timeout(PATIENCE).queue(10_000_000).flush_within(6 * PATIENCE)
}

/// An engine, and those who spend.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) quotas: Quotas,
    profiles: Arc<[Profile]>,
}

impl Engine {
    /// Over these books, for so many profiles.
    pub(crate) fn of(books: impl RemoteBooks, profiles: u64) -> Self {
        Self::over(Remote::new(books, options()), profiles, Window::Day, SystemClock)
    }

    /// Over this store, with this window for the feature that has one limit.
    pub(crate) fn over(
        store: impl Store,
        profiles: u64,
        window: Window,
        clock: impl Clock,
    ) -> Self {
        let limit = |window| Limit::new(PLENTY.into(), window);
        let three = [Window::Day, Window::Week, Window::Month].map(limit);
        let plan = Plan::new("free")
            .feature(ONE, [limit(window)])
            .feature(THREE, three)
            .feature(SCARCE, [Limit::new(1, Window::Day)]);
        let quotas = Quotas::builder().plan(plan).store(store).clock(clock).build();
        let profiles = (0..profiles).map(ours::profile).collect();
        Self { quotas: quotas.expect("a complete configuration"), profiles }
    }

    /// The same engine, used by its first profiles alone.
    pub(crate) fn for_first(&self, profiles: usize) -> Self {
        Self { quotas: self.quotas.clone(), profiles: self.profiles[..profiles].into() }
    }

    /// Whose turn it is.
    pub(crate) fn profile(&self, turn: u64) -> &Profile {
        &self.profiles[shuffled(turn, self.profiles.len() as u64) as usize]
    }

    /// Sets one unit aside.
    pub(crate) async fn reserve(&self, turn: u64, feature: &str) -> Reservation {
        match self.quotas.reserve(self.profile(turn), feature, 1).await {
            Ok(Decision::Granted(reservation)) => reservation,
            answer => panic!("nobody here uses up a quota: {answer:?}"),
        }
    }

    /// Sets one unit of this feature aside and charges it, for whose turn it is.
    pub(crate) fn spending(
        &self,
        feature: &'static str,
    ) -> impl Fn(u64) -> BoxFuture<'static, ()> + Clone + Send + 'static {
        let engine = self.clone();
        move |turn| {
            let engine = engine.clone();
            async move { engine.reserve(turn, feature).await.commit() }.boxed()
        }
    }

    /// Sets one unit of the feature with one limit aside, for whose turn it is.
    pub(crate) fn holding(
        &self,
    ) -> impl Fn(u64) -> BoxFuture<'static, Reservation> + Clone + Send + 'static {
        let engine = self.clone();
        move |turn| {
            let engine = engine.clone();
            async move { engine.reserve(turn, ONE).await }.boxed()
        }
    }

    /// Waits until everything is written.
    pub(crate) async fn flush(&self) {
        self.quotas.flush().await.expect("the books are there");
    }
}

/// Books in a database, in new tables.
pub(crate) async fn postgres(server: &Postgres, connections: u32) -> PostgresBooks {
    server.sql("DROP TABLE IF EXISTS quota_counter, quota_hold, quota_merged");
    let builder = PostgresBooks::builder(server.url()).timeout(PATIENCE);
    let books = builder.connections(connections).connect().await.expect("a server");
    books.migrate().await.expect("tables");
    books
}

/// Books in a new file.
pub(crate) async fn sqlite(directory: &Directory) -> SqliteBooks {
    let file = directory.path().join("quota.db");
    let books = SqliteBooks::builder(file).connect().await.expect("a file");
    books.migrate().await.expect("tables");
    books
}

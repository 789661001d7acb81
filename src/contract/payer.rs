//! Who pays while the laws of a store are tested.

use std::time::Duration;

use super::{Subject, earlier};
use crate::clock::{Clock, ManualClock};
use crate::decision::{Check, Denial};
use crate::limits::{Limit, Plan, Profile, Window};
use crate::quotas::Quotas;
use crate::reservation::{Decision, Reservation};
use crate::store::Store;

/// The one feature of most laws.
pub(super) const FEATURE: &str = "remix";

/// A profile, and an engine on the books that are tested.
#[derive(Clone, Debug)]
pub(super) struct Payer {
    pub(super) quotas: Quotas,
    profile: Profile,
}

impl Payer {
    /// A payer with these limits, on a handle of the books of its own.
    pub(super) async fn new<S: Subject<Books: Store>>(
        subject: &S,
        limits: impl IntoIterator<Item = Limit>,
    ) -> Self {
        Self::on_plan(subject, Plan::new("free").feature(FEATURE, limits)).await
    }

    /// A payer with this many units a day.
    pub(super) async fn daily<S: Subject<Books: Store>>(subject: &S, amount: u64) -> Self {
        Self::new(subject, [Limit::new(amount, Window::Day)]).await
    }

    /// A payer on this plan, which is called `free`.
    pub(super) async fn on_plan<S: Subject<Books: Store>>(subject: &S, plan: Plan) -> Self {
        Self::by_clock(subject, plan, subject.clock().clone()).await
    }

    /// A payer at an engine that goes by a clock of its own.
    pub(super) async fn by_clock<S: Subject<Books: Store>>(
        subject: &S,
        plan: Plan,
        clock: ManualClock,
    ) -> Self {
        let builder = Quotas::builder().plan(plan).clock(clock);
        let quotas = builder.store(subject.open().await).build().expect("the law's plan is bad");
        Self { quotas, profile: Profile::new("7", "free") }
    }

    /// Another payer, at the same engine.
    pub(super) fn named(&self, id: impl AsRef<[u8]>) -> Self {
        Self { quotas: self.quotas.clone(), profile: Profile::new(id, "free") }
    }

    /// Another payer, on another plan of the same engine.
    pub(super) fn on(&self, plan: &str) -> Self {
        Self { quotas: self.quotas.clone(), profile: Profile::new(plan, plan) }
    }

    /// The same payer, in the service of a tenant.
    pub(super) fn employed_by(mut self, tenant: impl AsRef<[u8]>) -> Self {
        self.profile = self.profile.tenant(tenant);
        self
    }

    /// The same payer, whose months begin on this day.
    pub(super) fn billed_on(mut self, day: u8) -> Self {
        self.profile = self.profile.billing_day(day).expect("there is no such day");
        self
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(super) async fn reserve_of(&self, feature: &str, units: u64) -> Decision {
        let answer = self.quotas.reserve(&self.profile, feature, units).await;
        answer.expect("the store failed to reserve")
    }

    pub(super) async fn reserve(&self, units: u64) -> Decision {
        self.reserve_of(FEATURE, units).await
    }

    pub(super) async fn check(&self, units: u64) -> Check {
        let answer = self.quotas.check(&self.profile, FEATURE, units).await;
        answer.expect("the store failed to read")
    }

    /// Reserves what has to be granted.
    pub(super) async fn grant(&self, units: u64) -> Reservation {
        match self.reserve(units).await {
            Decision::Granted(reservation) => reservation,
            Decision::Denied(denial) => panic!("{units} units fit and were denied: {denial:?}"),
        }
    }

    /// Reserves what has to be denied.
    pub(super) async fn deny(&self, units: u64) -> Denial {
        match self.reserve(units).await {
            Decision::Denied(denial) => denial,
            Decision::Granted(reservation) => {
                panic!("{units} units do not fit and were granted: {reservation:?}")
            }
        }
    }

    /// Reserves and commits what has to be granted.
    pub(super) async fn spend(&self, units: u64) {
        self.grant(units).await.commit();
        self.flush().await;
    }

    /// Reserves what has to be granted, and is to be refunded.
    pub(super) async fn fail(&self, units: u64) {
        self.grant(units).await.refund();
        self.flush().await;
    }

    /// Waits until all settlements are written.
    pub(super) async fn flush(&self) {
        self.quotas.flush().await.expect("the store failed to flush");
    }

    pub(super) async fn credit(&self, units: u64) {
        let answer = self.quotas.credit(&self.profile, FEATURE, units).await;
        answer.expect("the store failed to credit");
    }

    pub(super) async fn debit(&self, units: u64) {
        let answer = self.quotas.debit(&self.profile, FEATURE, units).await;
        answer.expect("the store failed to debit");
    }

    pub(super) async fn record(&self, units: u64) {
        let answer = self.quotas.record(&self.profile, FEATURE, units).await;
        answer.expect("the store failed to record");
    }

    pub(super) async fn reset(&self) {
        let answer = self.quotas.reset(&self.profile, FEATURE).await;
        answer.expect("the store failed to reset");
    }

    /// What is used and held of each limit of a feature.
    pub(super) async fn counts_of(&self, feature: &str) -> Vec<(u64, u64)> {
        let usage = self.quotas.usage(&self.profile).await.expect("the store failed to read");
        let standing = usage.feature(feature).expect("the law's feature is missing");
        standing.statuses().map(|status| (status.used(), status.held())).collect()
    }

    /// What is used and held of each limit.
    pub(super) async fn counts(&self) -> Vec<(u64, u64)> {
        self.counts_of(FEATURE).await
    }

    /// What is used and held of the first limit.
    pub(super) async fn count(&self) -> (u64, u64) {
        *self.counts().await.first().expect("the law's feature has no limit")
    }
}

/// Moves the clock to so long before the end of the window that holds its present.
pub(super) fn shortly_before_the_end(clock: &ManualClock, window: Window, before: Duration) {
    let now = clock.now();
    let mut end = window.around(now).end;
    if earlier(end, before) < now {
        end = window.around(end).end;
    }
    clock.set(earlier(end, before).into());
}

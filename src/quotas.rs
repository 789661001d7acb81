//! The engine's verbs. It knows no HTTP.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::bounds::MAX_UNITS;
use crate::clock::Timestamp;
use crate::count::Counts;
use crate::decision::{Check, Denial};
use crate::engine::{Engine, Mode};
use crate::error::{Error, StoreError};
use crate::limits::{Allowance, Profile};
use crate::reservation::{Decision, Reservation};
use crate::standing::{Standing, Usage};
use crate::store::{Answer, Change, Charge, HoldId, Reserve, Verdict};

/// How many units are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// So many, or none.
    Exactly(u64),
    /// So many, or as many as the limits could ever hold if that is less; at least 1.
    About(u64),
}

/// The engine: it decides what may be spent, and keeps the books.
///
/// It is cheap to clone, and all clones are one engine. Its answers are
/// [ready at once](Answer) on the memory store, so it needs no runtime there.
///
/// ```
/// use tower_quota::{Decision, Limit, Plan, Profile, Quotas, Window};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let quotas = Quotas::builder()
///     .plan(Plan::new("free").feature("remix", [Limit::new(1, Window::Day)]))
///     .build()?;
/// let profile = Profile::new("7", "free");
///
/// let Decision::Granted(reservation) = quotas.reserve(&profile, "remix", 1).await? else {
///     panic!("nothing was used yet");
/// };
/// // ... do what was paid for ...
/// reservation.commit();
///
/// let Decision::Denied(denial) = quotas.reserve(&profile, "remix", 1).await? else {
///     panic!("the day's only unit was used");
/// };
/// assert!(denial.retry_after().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Quotas(Arc<Engine>);

impl Quotas {
    pub(crate) fn new(engine: Engine) -> Self {
        Self(Arc::new(engine))
    }

    /// Sets `units` of `feature` aside for `profile`, or denies them. 0 units are always granted
    /// and nothing is recorded for them.
    ///
    /// # Errors
    ///
    /// The feature or the profile's plan is unknown, the id is bad, or the store failed.
    pub fn reserve(
        &self,
        profile: &Profile,
        feature: &str,
        units: u64,
    ) -> Answer<Result<Decision, Error>> {
        self.reserve_at(profile, feature, Asked::Exactly(units), self.0.now())
    }

    /// The same for about so many units: for fewer, if that is all that the limits could ever hold, and
    /// for at least 1, so that an estimate of nothing is not free.
    /// For what is estimated before, and known and [committed](Reservation::commit_units) afterwards.
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn reserve_about(
        &self,
        profile: &Profile,
        feature: &str,
        units: u64,
    ) -> Answer<Result<Decision, Error>> {
        self.reserve_at(profile, feature, Asked::About(units), self.0.now())
    }

    pub(crate) fn reserve_at(
        &self,
        profile: &Profile,
        feature: &str,
        asked: Asked,
        now: Timestamp,
    ) -> Answer<Result<Decision, Error>> {
        let allowance = match self.0.allowance(profile, feature) {
            Ok(allowance) => allowance,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let units = match asked {
            Asked::Exactly(units) => units,
            Asked::About(units) => units.clamp(1, allowance.capacity()),
        };
        self.reserve_of(profile, allowance, units, now)
    }

    /// Sets more units aside for a request that has a reservation: it has been counted as a request.
    pub(crate) fn reserve_more(
        &self,
        profile: &Profile,
        feature: &str,
        units: u64,
    ) -> Answer<Result<Decision, Error>> {
        let now = self.0.now();
        match self.0.allowance(profile, feature) {
            Ok(allowance) => self.reserve_of(profile, Arc::new(allowance.of_units()), units, now),
            Err(error) => Answer::Ready(Err(error)),
        }
    }

    fn reserve_of(
        &self,
        profile: &Profile,
        allowance: Arc<Allowance>,
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Decision, Error>> {
        let mode = self.0.mode();
        if mode == Mode::Unmetered || profile.is_unlimited() || allowance.limits().is_empty() {
            let standing = Standing::uncounted(allowance, now);
            return Answer::Ready(Ok(Decision::Granted(Reservation::new(None, units, standing))));
        }
        if units == 0 {
            return self
                .stand(profile, allowance, mode, 0, now)
                .map(|standing| Ok(Decision::Granted(Reservation::new(None, 0, standing?))));
        }
        // What could never fit is counted as the most that can be.
        let denies = mode == Mode::Enforce && allowance.bounds_units();
        let units = if denies { units } else { units.min(MAX_UNITS) };
        let mut charges: SmallVec<[Charge<'_>; 4]> = SmallVec::new();
        for keyed in allowance.limits() {
            match mode.charge(profile, keyed, units, now) {
                Ok(charge) => charges.push(charge),
                Err(error) => return Answer::Ready(Err(error)),
            }
        }
        let answer =
            self.0.store.reserve(Reserve { id: HoldId::next(), charges: &charges, units, now });
        drop(charges);
        let decide = move |verdict| match verdict {
            Ok(Verdict::Granted(hold, counts)) => {
                let standing = Standing::new(allowance, counts, now);
                Ok(Decision::Granted(Reservation::new(Some(hold), units, standing)))
            }
            Ok(Verdict::Denied(counts)) => {
                let standing = Standing::new(allowance, counts, now);
                Ok(Decision::Denied(Denial::new(standing, units)))
            }
            Err(error) => Err(Error::Store(error)),
        };
        answer.map(decide)
    }

    /// Whether `units` of `feature` would be granted now. Nothing is written. If not, it says what a
    /// denial of them would say.
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn check(
        &self,
        profile: &Profile,
        feature: &str,
        units: u64,
    ) -> Answer<Result<Check, Error>> {
        let allowance = match self.0.allowance(profile, feature) {
            Ok(allowance) => allowance,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let now = self.0.now();
        let mode = self.0.mode();
        if mode == Mode::Unmetered || profile.is_unlimited() {
            return Answer::Ready(Ok(Check::Allowed(Standing::uncounted(allowance, now))));
        }
        self.stand(profile, allowance, mode, units, now).map(move |standing| {
            let standing = standing?;
            let allowed = mode == Mode::Shadow || units == 0 || standing.admits(units);
            Ok(if allowed {
                Check::Allowed(standing)
            } else {
                Check::Denied(Denial::new(standing, units))
            })
        })
    }

    /// Charges `units` after the fact, without asking whether they fit, as one request. Limits that count
    /// requests are told in a call of their own: after a store failure either may be done. Nothing is charged to an
    /// unlimited profile, nor while the engine is [unmetered](Mode::Unmetered).
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn record(
        &self,
        profile: &Profile,
        feature: &str,
        units: u64,
    ) -> Answer<Result<(), Error>> {
        if self.0.mode() == Mode::Unmetered || profile.is_unlimited() {
            return Answer::Ready(self.0.allowance(profile, feature).map(drop));
        }
        self.change(profile, feature, |_| true, Change::Debit(units))
    }

    /// What `profile` has used of every feature. Nothing is written. A feature with a limit for tenants
    /// is left out where the profile has none: there is no count to tell of.
    ///
    /// # Errors
    ///
    /// The profile's plan is unknown, its id is bad, or the store failed.
    pub fn usage(&self, profile: &Profile) -> Answer<Result<Usage, Error>> {
        self.usage_at(profile, self.0.now())
    }

    pub(crate) fn usage_at(
        &self,
        profile: &Profile,
        now: Timestamp,
    ) -> Answer<Result<Usage, Error>> {
        let mut allowances = match self.0.allowances(profile) {
            Ok(allowances) => allowances,
            Err(error) => return Answer::Ready(Err(error)),
        };
        allowances.retain(|allowance| profile.has_scopes(allowance));
        let limits = allowances.iter().flat_map(|allowance| allowance.limits());
        let answer = match self.0.read(profile, limits, self.0.mode(), 0, now) {
            Ok(answer) => answer,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let unlimited = profile.is_unlimited();
        answer.map(move |counts| {
            let mut counts = counts?.into_iter();
            let standings = allowances.into_iter().map(|allowance| {
                let own: Counts = counts.by_ref().take(allowance.limits().len()).collect();
                Standing::new(allowance, own, now)
            });
            Ok(Usage::new(unlimited, standings.collect()))
        })
    }

    /// Resolves when every settlement that was handed over before is in the store.
    pub fn flush(&self) -> Answer<Result<(), StoreError>> {
        self.0.store.flush()
    }

    /// Flushes, and ends what the store runs in the background. To be called last.
    pub fn shutdown(&self) -> Answer<Result<(), StoreError>> {
        self.0.store.shutdown()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0
    }

    /// Where a profile stands when it asks for so many units.
    fn stand(
        &self,
        profile: &Profile,
        allowance: Arc<Allowance>,
        mode: Mode,
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Standing, Error>> {
        let answer = match self.0.read(profile, allowance.limits(), mode, units, now) {
            Ok(answer) => answer,
            Err(error) => return Answer::Ready(Err(error)),
        };
        answer.map(move |counts| Ok(Standing::new(allowance, counts?.into(), now)))
    }
}

//! The engine. It knows no HTTP.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::decision::{Check, Counts, Denial, Standing};
use crate::error::{ConfigError, Error, StoreError};
use crate::limits::{Allowance, Catalog, Limit, Plan, Profile};
use crate::reservation::{Decision, Reservation};
use crate::store::{Answer, Change, Charge, Counter, HoldId, MemoryStore, Reserve, Store, Verdict};

/// What the engine does with requests. It can be switched while requests are in flight: each is
/// settled as it was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Count, and deny what does not fit.
    #[default]
    Enforce,
    /// Neither count nor deny: for a single user at home.
    Unmetered,
    /// Count, but never deny: to see what a limit would do.
    Shadow,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Enforce, Self::Unmetered, Self::Shadow];
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

#[derive(Debug)]
struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// What the catalog was made of. Whoever changes it holds the lock until the catalog follows.
    plans: Mutex<Vec<Plan>>,
    catalog: ArcSwap<Catalog>,
    mode: AtomicU8,
}

/// What a profile has used of every feature.
#[derive(Clone, Debug)]
pub struct Usage {
    unlimited: bool,
    standings: Vec<Standing>,
}

impl Usage {
    /// Whether the profile is never denied.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.unlimited
    }

    /// Where the profile stands with each feature of any plan. A feature that its own plan lacks
    /// has a limit of 0.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter()
    }

    /// Where the profile stands with this feature; none if no plan has it.
    #[must_use]
    pub fn feature(&self, feature: &str) -> Option<&Standing> {
        self.standings()
            .find(|standing| standing.feature() == feature)
    }
}

impl Quotas {
    /// Starts to build an engine.
    pub fn builder() -> QuotasBuilder {
        QuotasBuilder::default()
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
        self.reserve_at(profile, feature, units, self.now())
    }

    pub(crate) fn reserve_at(
        &self,
        profile: &Profile,
        feature: &str,
        units: u64,
        now: Timestamp,
    ) -> Answer<Result<Decision, Error>> {
        let allowance = match self.allowance(profile, feature) {
            Ok(allowance) => allowance,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let mode = self.mode();
        if mode == Mode::Unmetered || profile.is_unlimited() {
            let standing = Standing::uncounted(allowance, now);
            return Answer::Ready(Ok(Decision::Granted(Reservation::new(
                None, units, standing,
            ))));
        }
        if units == 0 {
            return self
                .stand(profile, allowance, now)
                .map(|standing| Ok(Decision::Granted(Reservation::new(None, 0, standing?))));
        }
        let charges: SmallVec<[Charge<'_>; 2]> = allowance
            .limits()
            .iter()
            .map(|keyed| Charge {
                counter: Counter::at(keyed, now),
                ceiling: (mode == Mode::Enforce).then_some(keyed.limit.amount()),
            })
            .collect();
        let answer = self.0.store.reserve(Reserve {
            id: HoldId::next(),
            scope: profile.id(),
            charges: &charges,
            units,
            now,
        });
        drop(charges);
        answer.map(move |verdict| {
            let stand = |counts| Standing::new(allowance, counts, now);
            Ok(match verdict? {
                Verdict::Granted(hold, counts) => {
                    Decision::Granted(Reservation::new(Some(hold), units, stand(counts)))
                }
                Verdict::Denied(counts) => Decision::Denied(Denial::new(stand(counts), units)),
            })
        })
    }

    /// Whether `units` of `feature` would be granted now. Nothing is written.
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
        let allowance = match self.allowance(profile, feature) {
            Ok(allowance) => allowance,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let now = self.now();
        let mode = self.mode();
        if mode == Mode::Unmetered || profile.is_unlimited() {
            return Answer::Ready(Ok(Check::Allowed(Standing::uncounted(allowance, now))));
        }
        self.stand(profile, allowance, now).map(move |standing| {
            let standing = standing?;
            let allowed = mode == Mode::Shadow || units == 0 || standing.admits(units);
            Ok(if allowed {
                Check::Allowed(standing)
            } else {
                Check::Denied(Denial::new(standing, units))
            })
        })
    }

    /// Charges `units` after the fact, without asking whether they fit. Nothing is charged to an
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
        if self.mode() == Mode::Unmetered || profile.is_unlimited() {
            return Answer::Ready(self.allowance(profile, feature).map(drop));
        }
        self.change(profile, feature, Change::Debit(units))
    }

    /// An operator's charge: adds to what is used, whatever mode and profile say.
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn debit(&self, profile: &Profile, feature: &str, units: u64) -> Answer<Result<(), Error>> {
        self.change(profile, feature, Change::Debit(units))
    }

    /// An operator's gift: takes from what is used, down to 0.
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn credit(
        &self,
        profile: &Profile,
        feature: &str,
        units: u64,
    ) -> Answer<Result<(), Error>> {
        self.change(profile, feature, Change::Credit(units))
    }

    /// Starts the present windows of a feature over. What is held for requests in flight stays
    /// held, and is settled on top.
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn reset(&self, profile: &Profile, feature: &str) -> Answer<Result<(), Error>> {
        self.change(profile, feature, Change::Reset)
    }

    /// What `profile` has used of every feature. Nothing is written.
    ///
    /// # Errors
    ///
    /// The profile's plan is unknown, its id is bad, or the store failed.
    pub fn usage(&self, profile: &Profile) -> Answer<Result<Usage, Error>> {
        let now = self.now();
        let allowances = match self.allowances(profile) {
            Ok(allowances) => allowances,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let counters: Vec<Counter<'_>> = allowances
            .iter()
            .flat_map(|allowance| Counter::all(allowance, now))
            .collect();
        let answer = self.0.store.read(profile.id(), &counters);
        let unlimited = profile.is_unlimited();
        drop(counters);
        answer.map(move |counts| {
            let mut counts = counts?.into_iter();
            let standings = allowances.into_iter().map(|allowance| {
                let own: Counts = counts.by_ref().take(allowance.limits().len()).collect();
                Standing::new(allowance, own, now)
            });
            Ok(Usage {
                unlimited,
                standings: standings.collect(),
            })
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

    /// The present mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let mode = self.0.mode.load(Ordering::Relaxed);
        Mode::ALL
            .into_iter()
            .find(|known| *known as u8 == mode)
            .unwrap_or_default()
    }

    /// Switches the mode, at once and for all clones. Requests in flight are settled as they were
    /// granted.
    pub fn set_mode(&self, mode: Mode) {
        self.0.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// The present plans.
    #[must_use]
    pub fn plans(&self) -> Vec<Plan> {
        self.0
            .plans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces all plans, at once and for all clones. What was used stays used: a count belongs
    /// to a feature, a limit's name and the kind of its window, not to a plan or an amount.
    ///
    /// # Errors
    ///
    /// As for [`QuotasBuilder::build`]; then the old plans stay.
    pub fn set_plans(&self, plans: impl IntoIterator<Item = Plan>) -> Result<(), ConfigError> {
        let new = plans.into_iter().collect();
        self.replace(|plans| {
            *plans = new;
            Ok(())
        })
    }

    /// Replaces the limits of some features of a plan, all or none of them, at once and for all
    /// clones. What was used stays used.
    ///
    /// ```
    /// # use tower_quota::{Limit, Plan, Quotas, Window};
    /// # fn main() -> Result<(), tower_quota::ConfigError> {
    /// # let quotas = Quotas::builder()
    /// #     .plan(Plan::new("free").feature("remix", [Limit::new(1, Window::Day)]))
    /// #     .build()?;
    /// quotas.set_limits("free", [("remix", [Limit::new(5, Window::Day)])])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The plan or a feature is unknown, or a limit is bad; then the old limits stay.
    pub fn set_limits<F, L>(
        &self,
        plan: &str,
        limits: impl IntoIterator<Item = (F, L)>,
    ) -> Result<(), ConfigError>
    where
        F: AsRef<str>,
        L: IntoIterator<Item = Limit>,
    {
        let known = self.0.catalog.load_full();
        self.replace(|plans| {
            let Some(plan) = plans.iter_mut().find(|known| known.name() == plan) else {
                let plan = plan.to_owned();
                return Err(ConfigError::UnknownPlan { plan });
            };
            for (feature, limits) in limits {
                let feature = feature.as_ref();
                known.check_feature(feature)?;
                plan.set_limits(feature, limits.into_iter().collect());
            }
            Ok(())
        })
    }

    fn replace(
        &self,
        edit: impl FnOnce(&mut Vec<Plan>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let mut plans = self.0.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut edited = plans.clone();
        edit(&mut edited)?;
        self.0.catalog.store(Arc::new(Catalog::new(&edited)?));
        *plans = edited;
        Ok(())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn check_feature(&self, feature: &str) -> Result<(), ConfigError> {
        self.0.catalog.load().check_feature(feature)
    }

    pub(crate) fn check_plan(&self, plan: &str) -> Result<(), ConfigError> {
        self.0.catalog.load().check_plan(plan)
    }

    fn allowance(&self, profile: &Profile, feature: &str) -> Result<Arc<Allowance>, Error> {
        profile.id().check()?;
        self.0.catalog.load().allowance(profile, feature).cloned()
    }

    fn allowances(&self, profile: &Profile) -> Result<Vec<Arc<Allowance>>, Error> {
        profile.id().check()?;
        let catalog = self.0.catalog.load();
        let features = catalog.features();
        features
            .map(|feature| catalog.allowance(profile, feature).cloned())
            .collect()
    }

    fn stand(
        &self,
        profile: &Profile,
        allowance: Arc<Allowance>,
        now: Timestamp,
    ) -> Answer<Result<Standing, Error>> {
        let counters: Vec<Counter<'_>> = Counter::all(&allowance, now).collect();
        let answer = self.0.store.read(profile.id(), &counters);
        drop(counters);
        answer.map(move |counts| Ok(Standing::new(allowance, counts?.into(), now)))
    }

    fn change(
        &self,
        profile: &Profile,
        feature: &str,
        change: Change,
    ) -> Answer<Result<(), Error>> {
        let now = self.now();
        match self.allowance(profile, feature) {
            Ok(allowance) => {
                let counters: Vec<Counter<'_>> = Counter::all(&allowance, now).collect();
                let answer = self.0.store.change(profile.id(), &counters, change, now);
                answer.map(|changed| Ok(changed?))
            }
            Err(error) => Answer::Ready(Err(error)),
        }
    }
}

/// Builds an engine: [`Quotas::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct QuotasBuilder {
    plans: Vec<Plan>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    mode: Mode,
}

impl Default for QuotasBuilder {
    fn default() -> Self {
        Self {
            plans: Vec::new(),
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(SystemClock),
            mode: Mode::default(),
        }
    }
}

impl QuotasBuilder {
    /// Adds a plan. At least one is needed.
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plans.push(plan);
        self
    }

    /// Keeps the books in `store`, instead of a [`MemoryStore`].
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// Reads the time from `clock`, instead of the [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts in `mode`, instead of [`Mode::Enforce`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Checks the plans and builds the engine.
    ///
    /// # Errors
    ///
    /// There is no plan, or one of them is empty, has a name twice or a bad one, a zero window, or
    /// an amount above [`MAX_UNITS`](crate::MAX_UNITS). The error names the culprit.
    pub fn build(self) -> Result<Quotas, ConfigError> {
        let catalog = Catalog::new(&self.plans)?;
        Ok(Quotas(Arc::new(Engine {
            store: self.store,
            clock: self.clock,
            plans: Mutex::new(self.plans),
            catalog: ArcSwap::from_pointee(catalog),
            mode: AtomicU8::new(self.mode as u8),
        })))
    }
}

//! What an engine consists of, and the part of it that operators change.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::clock::{Clock, Timestamp};
use crate::count::Count;
use crate::error::{ConfigError, Error, StoreError};
use crate::limits::{Allowance, Catalog, KeyedLimit, Limit, Plan, Profile};
use crate::needs::{AllNeeds, Needs};
use crate::store::{Answer, Charge, Counter, Store};

/// What the engine does with requests. It can be switched while requests are in flight: each is
/// settled as it was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Count, and deny what does not fit.
    #[default]
    Enforce,
    /// Neither count nor deny: for a single user at home. A layer still asks who pays; see
    /// [`Unidentified`](crate::Unidentified).
    Unmetered,
    /// Count, but never deny: to see what a limit would do. A request for more than
    /// [`MAX_UNITS`](crate::MAX_UNITS) counts as so many.
    Shadow,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Enforce, Self::Unmetered, Self::Shadow];

    /// What so many units are charged to. Whoever asks for none is denied nowhere.
    pub(crate) fn charge<'a>(
        self,
        profile: &'a Profile,
        keyed: &'a KeyedLimit,
        units: u64,
        now: Timestamp,
    ) -> Result<Charge<'a>, Error> {
        let limit = &keyed.limit;
        let denies = self == Self::Enforce && units > 0 && !limit.is_shadow();
        Ok(Charge {
            counter: Counter::at(profile, keyed, now)?,
            ceiling: denies.then_some(limit.amount()),
            refunds: limit.refund_cap(),
        })
    }
}

/// Store, clock, plans and mode.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// What the catalog was made of. Whoever changes it holds the lock until the catalog follows.
    plans: Mutex<Vec<Plan>>,
    catalog: ArcSwap<Catalog>,
    /// Locked after the plans.
    needs: Mutex<AllNeeds>,
    mode: AtomicU8,
}

impl Engine {
    pub(crate) fn new(
        plans: Vec<Plan>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        mode: Mode,
    ) -> Result<Self, ConfigError> {
        let catalog = Catalog::new(&plans)?;
        Ok(Self {
            store,
            clock,
            plans: Mutex::new(plans),
            catalog: ArcSwap::from_pointee(catalog),
            needs: Mutex::default(),
            mode: AtomicU8::new(mode as u8),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn mode(&self) -> Mode {
        let mode = self.mode.load(Ordering::Relaxed);
        Mode::ALL.into_iter().find(|known| *known as u8 == mode).unwrap_or_default()
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// What is counted of limits, as it is told to a profile that asks for so many units.
    pub(crate) fn read<'a>(
        &self,
        profile: &Profile,
        limits: impl IntoIterator<Item = &'a KeyedLimit>,
        mode: Mode,
        units: u64,
        now: Timestamp,
    ) -> Result<Answer<Result<Vec<Count>, StoreError>>, Error> {
        let charges = limits.into_iter().map(|keyed| mode.charge(profile, keyed, units, now));
        let charges = charges.collect::<Result<Vec<_>, _>>()?;
        Ok(self.store.read(&charges, units, now))
    }

    pub(crate) fn plans(&self) -> MutexGuard<'_, Vec<Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn needs(&self) -> MutexGuard<'_, AllNeeds> {
        self.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks what a layer needs of the plans. For as long as it keeps the answer, no change can take
    /// that away.
    pub(crate) fn need(&self, needs: Needs) -> Result<Arc<Needs>, ConfigError> {
        let _unchanged = self.plans();
        self.needs().add(needs, &self.catalog.load())
    }

    /// Edits the plans: all of `edit` takes effect at once, or nothing.
    pub(crate) fn edit_plans(
        &self,
        edit: impl FnOnce(&mut Vec<Plan>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let mut plans = self.plans();
        let mut edited = plans.clone();
        edit(&mut edited)?;
        let catalog = Catalog::new(&edited)?;
        self.needs().check(&catalog)?;
        self.catalog.store(Arc::new(catalog));
        *plans = edited;
        Ok(())
    }

    /// Edits the limits of some features of a plan.
    pub(crate) fn edit_limits(
        &self,
        plan: &str,
        limits: Vec<(impl AsRef<str>, Vec<Limit>)>,
    ) -> Result<(), ConfigError> {
        self.edit_plans(|plans| {
            let Some(plan) = plans.iter_mut().find(|known| known.name() == plan) else {
                let plan = plan.to_owned();
                return Err(ConfigError::UnknownPlan { plan });
            };
            for (feature, limits) in limits {
                self.check_feature(feature.as_ref())?;
                plan.set_limits(feature.as_ref(), limits);
            }
            Ok(())
        })
    }

    fn check_feature(&self, feature: &str) -> Result<(), ConfigError> {
        self.catalog.load().check_feature(feature)
    }

    /// What `profile` may spend of `feature`.
    pub(crate) fn allowance(
        &self,
        profile: &Profile,
        feature: &str,
    ) -> Result<Arc<Allowance>, Error> {
        profile.check_ids()?;
        self.catalog.load().allowance(profile, feature).cloned()
    }

    /// What `profile` may spend of every feature.
    pub(crate) fn allowances(&self, profile: &Profile) -> Result<Vec<Arc<Allowance>>, Error> {
        profile.check_ids()?;
        let catalog = self.catalog.load();
        let features = catalog.features();
        features.map(|feature| catalog.allowance(profile, feature).cloned()).collect()
    }
}

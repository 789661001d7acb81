//! All plans of an engine, checked together and ready to be looked up.

use std::sync::Arc;

use compact_str::CompactString;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::allowance::{Allowance, check_name, check_unique};
use super::plan::Plan;
use super::profile::Profile;
use crate::error::{ConfigError, Error};
use crate::striped::Striped;

type Map<V> = HashMap<CompactString, V, RandomState>;

/// Plan → feature → allowance. Every plan answers for every feature that any plan has.
#[derive(Debug)]
pub(crate) struct Catalog {
    plans: Map<Map<Striped<Arc<Allowance>>>>,
    /// In the order in which the plans name them.
    features: Vec<CompactString>,
}

impl Catalog {
    pub(crate) fn new(plans: &[Plan]) -> Result<Self, ConfigError> {
        if plans.is_empty() {
            return Err(ConfigError::NoPlans);
        }
        for (index, plan) in plans.iter().enumerate() {
            check_name("plan", plan.name())?;
            check_unique("plan", plan.name(), plans.iter().take(index).map(Plan::name))?;
        }
        let features = all_features(plans)?;
        let mut catalog = Self { plans: Map::default(), features };
        for plan in plans {
            let allowances = allowances(plan, &catalog.features)?;
            catalog.plans.insert(CompactString::new(plan.name()), allowances);
        }
        Ok(catalog)
    }

    /// What `profile` may spend of `feature`: its own override, else its plan's.
    pub(crate) fn allowance<'a>(
        &'a self,
        profile: &'a Profile,
        feature: &str,
    ) -> Result<&'a Arc<Allowance>, Error> {
        let Some(plan) = self.plans.get(profile.plan()) else {
            return Err(Error::UnknownPlan(profile.plan().to_owned()));
        };
        let Some(allowance) = plan.get(feature) else {
            return Err(Error::UnknownFeature(feature.to_owned()));
        };
        let own = profile.own_allowance(feature);
        Ok(own.unwrap_or_else(|| allowance.pick()))
    }

    pub(crate) fn check_plan(&self, plan: &str) -> Result<(), ConfigError> {
        if self.plans.contains_key(plan) {
            return Ok(());
        }
        let plan = plan.to_owned();
        Err(ConfigError::UnknownPlan { plan })
    }

    pub(crate) fn check_feature(&self, feature: &str) -> Result<(), ConfigError> {
        if self.features.iter().any(|known| known == feature) {
            return Ok(());
        }
        let feature = feature.to_owned();
        Err(ConfigError::UnknownFeature { feature })
    }

    /// Every feature of every plan.
    pub(crate) fn features(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(CompactString::as_str)
    }
}

/// Each feature once. Plans may share a feature, but not spell it differently.
fn all_features(plans: &[Plan]) -> Result<Vec<CompactString>, ConfigError> {
    let mut all: Vec<CompactString> = Vec::new();
    for plan in plans {
        for (index, (feature, _)) in plan.features().enumerate() {
            let before = plan.features().take(index).map(|(name, _)| name);
            check_unique("feature", feature, before)?;
            if all.iter().all(|known| known != feature) {
                check_unique("feature", feature, all.iter().map(CompactString::as_str))?;
                all.push(CompactString::new(feature));
            }
        }
    }
    Ok(all)
}

fn allowances(
    plan: &Plan,
    all_features: &[CompactString],
) -> Result<Map<Striped<Arc<Allowance>>>, ConfigError> {
    let mut allowances = Map::default();
    for (feature, limits) in plan.features() {
        let allowance = Allowance::new(feature, limits)?;
        allowances.insert(CompactString::new(feature), striped(&allowance));
    }
    if allowances.is_empty() {
        let plan = plan.name().to_owned();
        return Err(ConfigError::EmptyPlan { plan });
    }
    for feature in all_features {
        if !allowances.contains_key(feature) {
            allowances.insert(feature.clone(), striped(&Allowance::nothing(feature)?));
        }
    }
    Ok(allowances)
}

fn striped(allowance: &Allowance) -> Striped<Arc<Allowance>> {
    Striped::new(|| Arc::new(allowance.clone()))
}

//! All plans of an engine, checked together and ready to be looked up.

use std::sync::Arc;

use compact_str::CompactString;
use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashMap};

use super::allowance::{Allowance, check_name, check_unique};
use super::plan::Plan;
use super::profile::Profile;
use crate::error::{ConfigError, Error};
use crate::striped::Striped;

/// What each plan allows of each feature that any plan has.
#[derive(Debug)]
pub(crate) struct Catalog {
    allowances: HashMap<Key, Striped<Arc<Allowance>>, RandomState>,
    plans: Vec<CompactString>,
    /// In the order in which the plans name them.
    features: Vec<CompactString>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    plan: Box<str>,
    feature: Box<str>,
}

/// A key to look up, hashed as [`Key`] is.
#[derive(Hash)]
struct KeyRef<'a> {
    plan: &'a str,
    feature: &'a str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.feature == *key.feature && *self.plan == *key.plan
    }
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
        let mut catalog = Self {
            allowances: HashMap::default(),
            plans: plans.iter().map(|plan| CompactString::new(plan.name())).collect(),
            features: all_features(plans)?,
        };
        for plan in plans {
            catalog.add(plan)?;
        }
        Ok(catalog)
    }

    fn add(&mut self, plan: &Plan) -> Result<(), ConfigError> {
        if plan.features().next().is_none() {
            let plan = plan.name().to_owned();
            return Err(ConfigError::EmptyPlan { plan });
        }
        for feature in &self.features {
            let limits = plan.features().find(|(name, _)| name == feature);
            let allowance = match limits {
                Some((_, limits)) => Allowance::new(feature, limits)?,
                None => Allowance::nothing(feature)?,
            };
            let key = Key { plan: plan.name().into(), feature: feature.as_str().into() };
            self.allowances.insert(key, Striped::new(|| Arc::new(allowance.clone())));
        }
        Ok(())
    }

    /// What `profile` may spend of `feature`: its own override, else its plan's.
    pub(crate) fn allowance<'a>(
        &'a self,
        profile: &'a Profile,
        feature: &str,
    ) -> Result<&'a Arc<Allowance>, Error> {
        // An override that is never looked up would be a silent pass, or a silent denial.
        if let Some(unknown) = profile.own_features().find(|own| self.check_feature(own).is_err()) {
            return Err(Error::UnknownFeature(unknown.to_owned()));
        }
        let key = KeyRef { plan: profile.plan(), feature };
        match self.allowances.get(&key) {
            Some(allowance) => {
                Ok(profile.own_allowance(feature).unwrap_or_else(|| allowance.pick()))
            }
            None if self.check_plan(profile.plan()).is_err() => {
                Err(Error::UnknownPlan(profile.plan().to_owned()))
            }
            None => Err(Error::UnknownFeature(feature.to_owned())),
        }
    }

    pub(crate) fn check_plan(&self, plan: &str) -> Result<(), ConfigError> {
        if self.plans.iter().any(|known| known == plan) {
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

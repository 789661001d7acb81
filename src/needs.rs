//! What layers need of the plans.

use std::sync::{Arc, Weak};

use compact_str::CompactString;

use crate::error::ConfigError;
use crate::limits::Catalog;

/// The features that a layer's routes name, and the plans that it puts profiles on.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) features: Vec<CompactString>,
    pub(crate) plans: Vec<CompactString>,
}

impl Needs {
    fn check(&self, catalog: &Catalog) -> Result<(), ConfigError> {
        self.features.iter().try_for_each(|feature| catalog.check_feature(feature))?;
        self.plans.iter().try_for_each(|plan| catalog.check_plan(plan))
    }
}

/// What all layers of an engine need, each for as long as it exists.
#[derive(Debug, Default)]
pub(crate) struct AllNeeds(Vec<Weak<Needs>>);

impl AllNeeds {
    /// Adds what a new layer needs, if the catalog has it.
    pub(crate) fn add(
        &mut self,
        needs: Needs,
        catalog: &Catalog,
    ) -> Result<Arc<Needs>, ConfigError> {
        needs.check(catalog)?;
        let needs = Arc::new(needs);
        self.0.retain(|other| other.strong_count() > 0);
        self.0.push(Arc::downgrade(&needs));
        Ok(needs)
    }

    /// Whether all of it is still there after a change.
    pub(crate) fn check(&self, changed: &Catalog) -> Result<(), ConfigError> {
        let mut needs = self.0.iter().filter_map(Weak::upgrade);
        needs.try_for_each(|needs| needs.check(changed)).map_err(|error| match error {
            ConfigError::UnknownFeature { feature } => ConfigError::FeatureInUse { feature },
            ConfigError::UnknownPlan { plan } => ConfigError::PlanInUse { plan },
            other => other,
        })
    }
}

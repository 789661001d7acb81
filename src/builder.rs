//! How an engine is built.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::engine::{Engine, Mode};
use crate::error::ConfigError;
use crate::limits::Plan;
use crate::quotas::Quotas;
use crate::store::{MemoryStore, Store};

impl Quotas {
    /// Starts to build an engine.
    pub fn builder() -> QuotasBuilder {
        QuotasBuilder::default()
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

    /// Adds plans, as [`plan`](Self::plan) does.
    pub fn plans(mut self, plans: impl IntoIterator<Item = Plan>) -> Self {
        self.plans.extend(plans);
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
        Engine::new(self.plans, self.store, self.clock, self.mode).map(Quotas::new)
    }
}

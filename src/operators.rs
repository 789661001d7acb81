//! What operators do to a running engine.

use crate::engine::Mode;
use crate::error::{ConfigError, Error};
use crate::limits::{Limit, Measure, Plan, Profile, Scope};
#[cfg(feature = "config")]
use crate::plan_file::{PlanFileError, plans_from_toml};
use crate::quotas::Quotas;
use crate::store::{Answer, Change, Counter};

/// What operators do while requests are in flight.
impl Quotas {
    /// The present mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.engine().mode()
    }

    /// Switches the mode, at once and for all clones. Requests in flight are settled as they were
    /// granted.
    pub fn set_mode(&self, mode: Mode) {
        self.engine().set_mode(mode);
    }

    /// The present plans.
    #[must_use]
    pub fn plans(&self) -> Vec<Plan> {
        self.engine().plans().clone()
    }

    /// Replaces all plans, at once and for all clones. What was used stays used: a count belongs
    /// to a feature, a limit's name and the kind of its window, not to a plan or an amount.
    ///
    /// A request finds either the old plans or the new ones, never some of each; what is in flight
    /// is settled as it was granted.
    ///
    /// # Errors
    ///
    /// As for [`QuotasBuilder::build`](crate::QuotasBuilder::build). Also if they lack a feature that
    /// a route of a [layer](crate::QuotaLayer) names, or a plan that a layer puts profiles on: to
    /// switch a feature off, give it a limit of 0. Then the old plans stay.
    ///
    /// What a closure or a [`ProfileSource`](crate::ProfileSource) will name cannot be known here: if
    /// the plans lack that, it is an error of the requests which it is named for.
    pub fn set_plans(&self, plans: impl IntoIterator<Item = Plan>) -> Result<(), ConfigError> {
        let new = plans.into_iter().collect();
        self.engine().edit_plans(|plans| {
            *plans = new;
            Ok(())
        })
    }

    /// Replaces all plans by those in a [text](plans_from_toml), as [`set_plans`](Self::set_plans)
    /// does. To reload a file, read it again when somebody says so, here with a signal:
    ///
    /// ```no_run
    /// # #[cfg(unix)]
    /// # async fn reload(quotas: tower_quota::Quotas) -> std::io::Result<()> {
    /// use tokio::signal::unix::{SignalKind, signal};
    /// use tower_quota::BoxError;
    ///
    /// let mut hangups = signal(SignalKind::hangup())?;
    /// while hangups.recv().await.is_some() {
    ///     let text = tokio::fs::read_to_string("plans.toml").await.map_err(BoxError::from);
    ///     let set = text.and_then(|text| Ok(quotas.set_plans_from_toml(&text)?));
    ///     if let Err(error) = set {
    ///         eprintln!("plans.toml: {error}; the old plans stay");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`plans_from_toml`] and for [`set_plans`](Self::set_plans); then the old plans stay.
    #[cfg(feature = "config")]
    pub fn set_plans_from_toml(&self, text: &str) -> Result<(), PlanFileError> {
        self.set_plans(plans_from_toml(text)?)?;
        Ok(())
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
        // All of it now: the caller's iterator may ask this very engine for its plans.
        let limits: Vec<(F, Vec<Limit>)> = limits
            .into_iter()
            .map(|(feature, limits)| (feature, limits.into_iter().collect()))
            .collect();
        self.engine().edit_limits(plan, limits)
    }

    /// An operator's charge: adds to what is used, whatever mode and profile say. As all that
    /// operators do to counts, it concerns the profile's own limits, not its tenant's nor everyone's.
    /// A limit that counts requests takes it for one.
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn debit(&self, profile: &Profile, feature: &str, units: u64) -> Answer<Result<(), Error>> {
        self.change(profile, feature, is_own, Change::Debit(units))
    }

    /// An operator's gift: takes from what is used, down to 0. A limit that counts requests takes it for
    /// one.
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
        self.change(profile, feature, is_own, Change::Credit(units))
    }

    /// Starts the present windows of a feature over. What is held for requests in flight stays
    /// held, and is settled on top.
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn reset(&self, profile: &Profile, feature: &str) -> Answer<Result<(), Error>> {
        self.change(profile, feature, is_own, Change::Reset)
    }

    /// Changes what is used of the limits that `concerned` picks, where anything is.
    pub(crate) fn change(
        &self,
        profile: &Profile,
        feature: &str,
        concerned: fn(Scope) -> bool,
        change: Change,
    ) -> Answer<Result<(), Error>> {
        let now = self.engine().now();
        let allowance = match self.engine().allowance(profile, feature) {
            Ok(allowance) => allowance,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let limits = allowance.limits().iter().filter(|keyed| concerned(keyed.key.scope()));
        let counters = limits.map(|keyed| Counter::at(profile, keyed, now));
        let counters = match counters.collect::<Result<Vec<_>, _>>() {
            Ok(counters) => counters,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let mut answer = Answer::Ready(Ok(()));
        // A store makes the same change of all counters that it is given.
        for measure in [Measure::Units, Measure::Requests] {
            let mut counters = counters.clone();
            counters.retain(|counter| counter.limit.measure() == measure);
            if !counters.is_empty() {
                let changed = self.engine().store.change(&counters, change.counted(measure), now);
                answer = answer.and(changed);
            }
        }
        answer.map(|changed| Ok(changed?))
    }
}

fn is_own(scope: Scope) -> bool {
    scope == Scope::Profile
}

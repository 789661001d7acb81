//! Plans from TOML, with errors that name line and field.

mod entry;
mod error;
mod limit;

use compact_str::CompactString;
use toml::de::DeTable;

use crate::error::ConfigError;
use crate::limits::{Limit, Plan, check_name, check_unique};
use entry::Entry;
pub use error::PlanFileError;
use limit::read_limit;

/// Reads plans from TOML.
///
/// ```
/// use tower_quota::{Quotas, plans_from_toml};
///
/// let plans = plans_from_toml(r#"
///     [plans.free.remix]          # plan and feature
///     day = 20                    # a limit: its window, and the amount
///     minute = 5                  # a feature may have several
///
///     [plans.free.discover]
///     day = 0                     # switched off
///
///     [plans.pro]
///     remix.month = 1_000         # the same in one line
///     chat = { day = 500, burst = { amount = 5, window = "90s" } }
/// "#)?;
/// let quotas = Quotas::builder().plans(plans).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// So there is one table, `plans`, of plans; a plan is a table of features, and a feature one of
/// limits. A limit's key is its name, and its value is either
///
/// - its amount, if it is named after its window: `day = 20`,
/// - or a table of its `amount` and its `window`: `burst = { amount = 5, window = "90s" }`. The
///   latter may be left out if the limit is named after it. Such a table may also have
///
/// | key | as in | example |
/// |---|---|---|
/// | `scope` | [`Limit::scope`](crate::Limit::scope) | `"tenant"` |
/// | `unit` | [`Limit::unit`](crate::Limit::unit) | `"tokens"` |
/// | `per_request` | [`Limit::per_request`](crate::Limit::per_request) | `true` |
/// | `shadow` | [`Limit::shadow`](crate::Limit::shadow) | `true` |
/// | `max_refunds` | [`Limit::max_refunds`](crate::Limit::max_refunds) | `5` |
/// | `max_refund_percent` | [`Limit::max_refund_percent`](crate::Limit::max_refund_percent) | `25` |
/// | `profile_calendar` | [`Limit::profile_calendar`](crate::Limit::profile_calendar) | `true` |
/// | `zone`, with feature `tz` | `Limit::zone` | `"Europe/Berlin"` |
/// | `week_start` | [`Limit::week_start`](crate::Limit::week_start) | `"sunday"` |
/// | `month_start` | [`Limit::month_start`](crate::Limit::month_start) | `15` |
///
/// # Windows
///
/// | window | is |
/// |---|---|
/// | `second`, `minute`, `hour`, `day`, `week`, `month`, `year`, `lifetime`, `concurrent` | [`Window`](crate::Window)'s variant of this name |
/// | `500ms`, `90s`, `15m`, `6h`, `30d` | [`Window::Fixed`](crate::Window::Fixed): so many milliseconds, seconds, minutes, hours, or spans of 24 hours |
/// | `rolling-15m` | [`Window::Rolling`](crate::Window::Rolling), by the same lengths |
///
/// `m` is a minute; months differ in length and have no letter. Lengths are laid end to end from the
/// Unix epoch: `24h` does not follow a calendar as `day` does. A limit's name is part of what a
/// count belongs to: `15m` and `900s` are the same window, but to call a limit by the other name
/// starts its count anew.
///
/// # Errors
///
/// The text is not TOML, or not of this form, or it has an unknown key, or something is wrong with a
/// plan that [`QuotasBuilder::build`](crate::QuotasBuilder::build) would refuse. The error names
/// line, column and field of the first culprit.
pub fn plans_from_toml(text: &str) -> Result<Vec<Plan>, PlanFileError> {
    let root = DeTable::parse(text).map_err(|error| PlanFileError::syntax(text, error))?;
    let mut reader = Reader::default();
    for entry in Entry::all(text, root.get_ref()) {
        if entry.key() != "plans" {
            let reason = "unknown key: all plans are in `plans`, as in `[plans.free]`";
            return Err(entry.bad_key(reason.to_owned()));
        }
        for plan in entry.entries("a table of plans")? {
            reader.read_plan(&plan)?;
        }
    }
    if reader.plans.is_empty() {
        return Err(ConfigError::NoPlans.into());
    }
    Ok(reader.plans)
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    plans: Vec<Plan>,
    /// Each feature of each plan, once.
    features: Vec<CompactString>,
}

impl Reader {
    fn read_plan(&mut self, entry: &Entry<'_>) -> Result<(), PlanFileError> {
        let name = entry.key();
        check_name("plan", name)
            .and_then(|()| check_unique("plan", name, self.plans.iter().map(Plan::name)))
            .map_err(|error| entry.bad_key(error))?;
        let features = entry.entries("a table of features")?;
        if features.is_empty() {
            return Err(entry.bad_key(ConfigError::EmptyPlan { plan: name.to_owned() }));
        }
        let mut plan = Plan::new(name);
        for feature in features {
            self.note_feature(feature.key()).map_err(|error| feature.bad_key(error))?;
            plan = plan.feature(feature.key(), read_limits(&feature)?);
        }
        self.plans.push(plan);
        Ok(())
    }

    /// Plans may share a feature, but not spell it differently.
    fn note_feature(&mut self, name: &str) -> Result<(), ConfigError> {
        if self.features.iter().any(|known| known == name) {
            return Ok(());
        }
        check_name("feature", name)?;
        check_unique("feature", name, self.features.iter().map(CompactString::as_str))?;
        self.features.push(CompactString::new(name));
        Ok(())
    }
}

fn read_limits(feature: &Entry<'_>) -> Result<Vec<Limit>, PlanFileError> {
    let entries = feature.entries("a table of limits, such as `{ day = 20 }`")?;
    if entries.is_empty() {
        let feature_name = feature.key().to_owned();
        return Err(feature.bad_key(ConfigError::NoLimits { feature: feature_name }));
    }
    let mut limits: Vec<Limit> = Vec::with_capacity(entries.len());
    for entry in entries {
        check_unique("limit", entry.key(), limits.iter().map(Limit::name))
            .map_err(|error| entry.bad_key(error))?;
        limits.push(read_limit(feature.key(), &entry)?);
    }
    Ok(limits)
}

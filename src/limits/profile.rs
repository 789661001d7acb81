//! Who pays.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use compact_str::CompactString;
use smallvec::SmallVec;

use super::allowance::{Allowance, KeyedLimit};
use super::calendar::{Calendar, Placed, is_month_start};
use super::limit::Limit;
use super::scope::Scope;
#[cfg(feature = "tz")]
use super::zone::Zone;
use crate::bounds::MAX_ID_BYTES;
use crate::clock::Timestamp;
use crate::error::{ConfigError, Error};

/// The id of a profile or a tenant: any 1 to [`MAX_ID_BYTES`] bytes. Up to 24 of them need no allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct ProfileId(SmallVec<[u8; 24]>);

impl ProfileId {
    /// An id of these bytes. Their number is checked when the id is used.
    #[must_use]
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(SmallVec::from_slice(bytes.as_ref()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The id as text, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if (1..=MAX_ID_BYTES).contains(&self.0.len()) {
            Ok(())
        } else {
            Err(Error::BadId(self.0.len()))
        }
    }
}

impl Hash for ProfileId {
    /// Without the length: an id is never hashed as a part of something that it could blend into.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Debug for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProfileId(\"{}\")", self.0.escape_ascii())
    }
}

/// The id of the one scope that all profiles share. Limits of other scopes have other keys, so it may
/// be a profile's id as well.
static EVERYONE: LazyLock<ProfileId> = LazyLock::new(|| ProfileId::new("everyone"));

/// Who pays: an id, a plan, and what is special about them.
///
/// ```
/// use tower_quota::{Limit, Profile, Window};
///
/// # fn main() -> Result<(), tower_quota::ConfigError> {
/// let guest = Profile::new("7", "free");
/// let patron = Profile::new("8", "free").limits("remix", [Limit::new(50, Window::Day)])?;
/// let owner = Profile::new("1", "free").unlimited(true);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Profile {
    id: ProfileId,
    plan: CompactString,
    unlimited: bool,
    calendar: Calendar,
    tenant: Option<ProfileId>,
    /// What replaces the plan's allowances. Shared, so that a cached profile is cheap to clone.
    own: Option<Arc<Vec<Arc<Allowance>>>>,
}

impl Profile {
    /// The profile with this id, on this plan.
    #[must_use]
    pub fn new(id: impl AsRef<[u8]>, plan: impl AsRef<str>) -> Self {
        Self::of(ProfileId::new(id), CompactString::new(plan))
    }

    pub(crate) fn of(id: ProfileId, plan: CompactString) -> Self {
        let calendar = Calendar::default();
        Self { id, plan, unlimited: false, calendar, tenant: None, own: None }
    }

    /// Whether this profile is never denied, and nothing of what it does is counted.
    #[must_use]
    pub fn unlimited(mut self, unlimited: bool) -> Self {
        self.unlimited = unlimited;
        self
    }

    /// Says which tenant this profile belongs to: the company of an employee. By any 1 to
    /// [`MAX_ID_BYTES`](crate::MAX_ID_BYTES) bytes; a tenant and a profile may have the same id.
    #[must_use]
    pub fn tenant(mut self, id: impl AsRef<[u8]>) -> Self {
        self.tenant = Some(ProfileId::new(id));
        self
    }

    /// Has this profile's calendar windows in `zone`: those of limits that [follow its
    /// calendar](Limit::profile_calendar) and [name no zone](Limit::zone). It may change at any time:
    /// that takes effect when the window ends that the profile is in.
    ///
    /// ```
    /// use tower_quota::Profile;
    ///
    /// let guest = Profile::new("7", "free").zone(chrono_tz::Asia::Kolkata);
    /// ```
    #[cfg(feature = "tz")]
    #[must_use]
    pub fn zone(mut self, zone: chrono_tz::Tz) -> Self {
        self.calendar.zone = Some(Zone(zone));
        self
    }

    /// Has this profile's months begin on a day of its own, from 1 to 31, and its years on that day
    /// of January: those of limits that [follow its calendar](Limit::profile_calendar) and [name no
    /// day](Limit::month_start). In months that are too short it is the last one: somebody who is billed
    /// on the 31st is billed on 28 February. It may change at any time: that takes effect when the window
    /// ends that the profile is in.
    ///
    /// # Errors
    ///
    /// There is no such day.
    pub fn billing_day(mut self, day: u8) -> Result<Self, ConfigError> {
        if !is_month_start(day) {
            return Err(ConfigError::BadBillingDay { day });
        }
        self.calendar.month_start = Some(day);
        Ok(self)
    }

    /// Gives this profile limits of its own for `feature`, instead of its plan's. A feature that no
    /// plan has is an error when the profile is used.
    pub fn limits(
        mut self,
        feature: impl AsRef<str>,
        limits: impl IntoIterator<Item = Limit>,
    ) -> Result<Self, ConfigError> {
        let limits: Vec<Limit> = limits.into_iter().collect();
        let allowance = Arc::new(Allowance::new(feature.as_ref(), &limits)?);
        let own = Arc::make_mut(self.own.get_or_insert_default());
        own.retain(|other| other.feature() != allowance.feature());
        own.push(allowance);
        Ok(self)
    }

    /// The profile's id.
    #[must_use]
    pub fn id(&self) -> &ProfileId {
        &self.id
    }

    /// The id of the profile's tenant, if it has one.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&ProfileId> {
        self.tenant.as_ref()
    }

    pub(crate) fn check_ids(&self) -> Result<(), Error> {
        self.id.check()?;
        self.tenant.as_ref().map_or(Ok(()), ProfileId::check)
    }

    /// The id of this profile's `scope`; none if it has no tenant and it is the tenant's.
    pub(crate) fn scope_id(&self, scope: Scope) -> Option<&ProfileId> {
        match scope {
            Scope::Profile => Some(&self.id),
            Scope::Tenant => self.tenant.as_ref(),
            Scope::Everyone => Some(&EVERYONE),
        }
    }

    /// Whether all limits of a feature find whose count this profile's is.
    pub(crate) fn has_scopes(&self, allowance: &Allowance) -> bool {
        allowance.limits().iter().all(|keyed| self.scope_id(keyed.limit.scoped()).is_some())
    }

    /// The name of the profile's plan.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// Whether the profile is never denied.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.unlimited
    }

    /// The window of a limit that holds `at`. When the next one ends is told only where windows follow
    /// this profile's calendar.
    #[inline]
    pub(crate) fn window(&self, keyed: &KeyedLimit, at: Timestamp) -> Placed {
        if keyed.key.longest_window().is_some() {
            return keyed.limit.placed(self.calendar, at);
        }
        let window = keyed.limit.around(at);
        Placed { window, next_end: window.end }
    }

    pub(super) fn own_features(&self) -> impl Iterator<Item = &str> {
        self.own.iter().flat_map(|own| own.iter()).map(|allowance| allowance.feature())
    }

    pub(super) fn own_allowance(&self, feature: &str) -> Option<&Arc<Allowance>> {
        let own = self.own.as_ref()?;
        own.iter().find(|allowance| allowance.feature() == feature)
    }
}

//! Who pays.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use compact_str::CompactString;
use smallvec::SmallVec;

use super::allowance::{Allowance, KeyedLimit};
use super::calendar::{Calendar, is_month_start};
use super::limit::Limit;
use super::window::Span;
#[cfg(feature = "tz")]
use super::zone::Zone;
use crate::bounds::MAX_ID_BYTES;
use crate::clock::Timestamp;
use crate::error::{ConfigError, Error};

/// The id of a profile: any 1 to [`MAX_ID_BYTES`] bytes. Up to 24 of them need no allocation.
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
        Self { id, plan, unlimited: false, calendar: Calendar::default(), own: None }
    }

    /// Whether this profile is never denied, and nothing of what it does is counted.
    #[must_use]
    pub fn unlimited(mut self, unlimited: bool) -> Self {
        self.unlimited = unlimited;
        self
    }

    /// Has this profile's calendar windows in `zone`, but for those of limits that
    /// [name their own](Limit::zone).
    ///
    /// A profile whose zone changes is counted by the windows of the new one at once: the day that it
    /// is there starts another count, unless it began at the same instant. So let nobody change it at
    /// will.
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
    /// of January, but for those of limits that [name theirs](Limit::month_start). In months that are
    /// too short it is the last one: somebody who is billed on the 31st is billed on 28 February.
    ///
    /// Changing it starts other counts, as a change of the zone does.
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

    /// The window of a limit that holds `at`.
    #[inline]
    pub(crate) fn window(&self, keyed: &KeyedLimit, at: Timestamp) -> Span {
        keyed.limit.around(self.calendar, at)
    }

    pub(super) fn own_features(&self) -> impl Iterator<Item = &str> {
        self.own.iter().flat_map(|own| own.iter()).map(|allowance| allowance.feature())
    }

    pub(super) fn own_allowance(&self, feature: &str) -> Option<&Arc<Allowance>> {
        let own = self.own.as_ref()?;
        own.iter().find(|allowance| allowance.feature() == feature)
    }
}

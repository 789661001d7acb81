//! Who pays.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use tower_quota::Profile;

use crate::app::PLAN;
use crate::problem::Problem;

/// The digits of the largest number.
const LONGEST: usize = 20;

/// A member of the household, by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Member(u64);

impl Member {
    /// What a request without a member is asked for.
    pub(crate) const CHALLENGE: &str = "Profile realm=\"recipes\"";

    /// Who sent a request, by its `x-profile-id`: the header stands in for a login session.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut ids = headers.get_all("x-profile-id").iter();
        let id = ids.next()?.to_str().ok()?;
        // Which of two ids is true cannot be known.
        ids.next().is_none().then(|| Self::parse(id)).flatten()
    }

    /// The member with this number: `007` is `7`, and shares its quota.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let is_number = id.len() <= LONGEST && id.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| id.parse().map(Self).ok()).flatten()
    }
}

/// The member who asks, for handlers of routes that are not metered.
impl<S: Sync> FromRequestParts<S> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers).ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "x-profile-id is missing or no number")
                .challenge(Self::CHALLENGE)
        })
    }
}

/// What is known of the members: which of them are unlimited.
#[derive(Clone, Default)]
pub(crate) struct Members(Arc<RwLock<HashSet<Member>>>);

impl Members {
    /// The profile that pays for a member. It is made afresh for each request, so that an operator's
    /// change applies at once.
    pub(crate) fn profile(&self, member: Member, headers: &HeaderMap) -> Profile {
        let unlimited = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let profile = Profile::new(member.0.to_string(), PLAN);
        in_zone(profile.unlimited(unlimited.contains(&member)), headers)
    }

    pub(crate) fn set_unlimited(&self, member: Member, unlimited: bool) {
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if unlimited {
            members.insert(member);
        } else {
            members.remove(&member);
        }
    }
}

/// Has the days of a profile begin at midnight in its `x-profile-zone`, if that is one. Whoever names
/// another finishes the day first.
#[cfg(feature = "tz")]
fn in_zone(profile: Profile, headers: &HeaderMap) -> Profile {
    let zone = headers.get("x-profile-zone").and_then(|zone| zone.to_str().ok()?.parse().ok());
    match zone {
        Some(zone) => profile.zone(zone),
        None => profile,
    }
}

#[cfg(not(feature = "tz"))]
fn in_zone(profile: Profile, _headers: &HeaderMap) -> Profile {
    profile
}

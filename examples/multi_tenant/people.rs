//! Who asks, and for whom they work.

use axum::http::HeaderMap;
use tower_quota::Profile;

use crate::limits::{BUSINESS, TEAM};

/// The companies that pay for more.
const BUSINESS_COMPANIES: [&str; 1] = ["acme"];

/// The profile of the user that the headers name: they stand in for a login session.
pub(crate) fn profile(headers: &HeaderMap) -> Option<Profile> {
    let (user, company) = (only(headers, "x-user")?, only(headers, "x-company")?);
    let plan = if BUSINESS_COMPANIES.contains(&company) { BUSINESS } else { TEAM };
    // Each company may have an ada. No header holds a zero byte, so no two of them have the same id.
    Some(Profile::new(format!("{company}\0{user}"), plan).tenant(company))
}

/// The value of a header that is there once, and not empty: which of two is true cannot be known.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && !value.is_empty()).then_some(value)
}

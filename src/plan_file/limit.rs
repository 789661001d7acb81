//! A limit in the text.

use chrono::Weekday;

use super::entry::Entry;
use super::error::PlanFileError;
use crate::bounds::MAX_UNITS;
use crate::error::ConfigError;
use crate::limits::{Limit, Scope, Window, check_limit, check_name};

const WINDOWS: &str = "(second, minute, hour, day, week, month, year, lifetime, concurrent, a length \
                       such as 500ms, 90s, 15m, 6h, 30d, or rolling- and a length)";

const KEYS: &str = "amount, window, scope, unit, per_request, shadow, max_refunds, \
                    max_refund_percent, profile_calendar, zone, week_start, month_start";

/// Reads `day = 20`, or `burst = { amount = 5, window = "90s" }`.
pub(super) fn read_limit(feature: &str, entry: &Entry<'_>) -> Result<Limit, PlanFileError> {
    check_name("limit", entry.key()).map_err(|error| entry.bad_key(error))?;
    let fields = if entry.is_table() { entry.entries("a limit")? } else { Vec::new() };
    let field = |key| fields.iter().find(|field| field.key() == key);
    let amount = match field("amount") {
        Some(amount) => amount.amount()?,
        None if entry.is_table() => {
            return Err(entry.bad_key("the limit has no `amount`".to_owned()));
        }
        None => entry.amount()?,
    };
    let window = match field("window") {
        Some(window) => parse_window(window)?,
        None => window_named_by_key(entry)?,
    };
    if let (Some(_), Some(share)) = (field("max_refunds"), field("max_refund_percent")) {
        let reason = "a limit has `max_refunds` or `max_refund_percent`, not both";
        return Err(share.bad_key(reason.to_owned()));
    }
    let mut limit = Limit::new(amount, window).named(entry.key());
    for field in &fields {
        limit = set(limit, field)?;
    }
    check_limit(feature, &limit).map_err(|error| {
        let culprit = match error {
            ConfigError::BadWindow { .. } => field("window"),
            ConfigError::AmountTooLarge { amount, .. } if amount == limit.amount() => {
                Some(field("amount").unwrap_or(entry))
            }
            ConfigError::AmountTooLarge { .. } => field("max_refunds"),
            ConfigError::BadMonthStart { .. } => field("month_start"),
            ConfigError::BadName { .. } => field("unit"),
            _ => None,
        };
        match culprit {
            Some(culprit) => culprit.bad_value(error),
            None => entry.bad_key(error),
        }
    })?;
    Ok(limit)
}

/// Sets what is neither amount nor window.
fn set(limit: Limit, field: &Entry<'_>) -> Result<Limit, PlanFileError> {
    Ok(match field.key() {
        "scope" => limit.scope(parse_scope(field)?),
        "unit" => limit.unit(field.text("the name of a unit in quotes")?),
        "per_request" if field.flag()? => limit.per_request(),
        "shadow" if field.flag()? => limit.shadow(),
        "profile_calendar" if field.flag()? => limit.profile_calendar(),
        "amount" | "window" | "per_request" | "shadow" | "profile_calendar" => limit,
        "max_refunds" => limit.max_refunds(parse_refunds(field)?),
        "max_refund_percent" => limit.max_refund_percent(parse_percent(field)?),
        "zone" => in_zone(limit, field)?,
        "week_start" => limit.week_start(parse_weekday(field)?),
        "month_start" => limit.month_start(parse_day(field)?),
        _ => return Err(field.bad_key(format!("unknown key: a limit has {KEYS}"))),
    })
}

fn parse_scope(entry: &Entry<'_>) -> Result<Scope, PlanFileError> {
    let name = entry.text("a scope in quotes: \"profile\", \"tenant\" or \"everyone\"")?;
    let scopes = [Scope::Profile, Scope::Tenant, Scope::Everyone];
    scopes.into_iter().find(|scope| scope.as_str() == name).ok_or_else(|| {
        entry.bad_value(format!("{name:?} is not a scope (profile, tenant, everyone)"))
    })
}

fn parse_refunds(entry: &Entry<'_>) -> Result<u64, PlanFileError> {
    entry.number(&format!("a cap on refunds is a whole number from 0 to {MAX_UNITS}, not"))
}

fn parse_percent(entry: &Entry<'_>) -> Result<u32, PlanFileError> {
    let percent = entry.number("a share is a whole number of percent, not")?;
    u32::try_from(percent).map_err(|_| entry.bad_value(format!("{percent}% is too large a share")))
}

fn parse_weekday(entry: &Entry<'_>) -> Result<Weekday, PlanFileError> {
    let name = entry.text("a day of the week in quotes")?;
    name.parse().map_err(|_| entry.bad_value(format!("{name:?} is not a day of the week")))
}

fn parse_day(entry: &Entry<'_>) -> Result<u8, PlanFileError> {
    let day = entry.number("a day of the month is a whole number from 1 to 31, not")?;
    u8::try_from(day).map_err(|_| entry.bad_value(format!("a month has no day {day}")))
}

#[cfg(feature = "tz")]
fn in_zone(limit: Limit, entry: &Entry<'_>) -> Result<Limit, PlanFileError> {
    let name = entry.text("a time zone in quotes, such as \"Europe/Berlin\"")?;
    let zone = name.parse::<chrono_tz::Tz>();
    let zone = zone.map_err(|_| entry.bad_value(format!("{name:?} is not a time zone")))?;
    Ok(limit.zone(zone))
}

#[cfg(not(feature = "tz"))]
fn in_zone(_limit: Limit, entry: &Entry<'_>) -> Result<Limit, PlanFileError> {
    Err(entry.bad_key("time zones need the feature `tz`".to_owned()))
}

fn parse_window(entry: &Entry<'_>) -> Result<Window, PlanFileError> {
    let name = entry.text("a window in quotes, such as \"day\" or \"90s\"")?;
    Window::named(name)
        .ok_or_else(|| entry.bad_value(format!("{name:?} is not a window {WINDOWS}")))
}

fn window_named_by_key(entry: &Entry<'_>) -> Result<Window, PlanFileError> {
    let name = entry.key();
    Window::named(name).ok_or_else(|| {
        entry.bad_key(format!(
            "`{name}` is not a window {WINDOWS}; a limit of another name is written \
             `{name} = {{ amount = 20, window = \"day\" }}`"
        ))
    })
}

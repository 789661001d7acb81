//! A limit in the text.

use super::entry::Entry;
use super::error::PlanFileError;
use crate::error::ConfigError;
use crate::limits::{Limit, Window, check_limit, check_name};

const WINDOWS: &str = "(second, minute, hour, day, week, month, year, lifetime, or a length such as \
                       500ms, 90s, 15m, 6h, 30d)";

/// Reads `day = 20`, or `burst = { amount = 5, window = "90s" }`.
pub(super) fn read_limit(feature: &str, entry: &Entry<'_>) -> Result<Limit, PlanFileError> {
    check_name("limit", entry.key()).map_err(|error| entry.bad_key(error))?;
    let fields = if entry.is_table() { Fields::of(entry)? } else { Fields::default() };
    let amount = match &fields.amount {
        Some(amount) => amount.amount()?,
        None if entry.is_table() => {
            return Err(entry.bad_key("the limit has no `amount`".to_owned()));
        }
        None => entry.amount()?,
    };
    let window = match &fields.window {
        Some(window) => parse_window(window)?,
        None => window_named_by_key(entry)?,
    };
    let limit = Limit::new(amount, window).named(entry.key());
    check_limit(feature, &limit).map_err(|error| match (&error, &fields) {
        (ConfigError::BadWindow { .. }, Fields { window: Some(window), .. }) => {
            window.bad_value(error)
        }
        (ConfigError::AmountTooLarge { .. }, Fields { amount: Some(amount), .. }) => {
            amount.bad_value(error)
        }
        (ConfigError::AmountTooLarge { .. }, _) => entry.bad_value(error),
        _ => entry.bad_key(error),
    })?;
    Ok(limit)
}

/// The fields of a limit that is a table.
#[derive(Default)]
struct Fields<'a> {
    amount: Option<Entry<'a>>,
    window: Option<Entry<'a>>,
}

impl<'a> Fields<'a> {
    fn of(limit: &Entry<'a>) -> Result<Self, PlanFileError> {
        let mut fields = Self::default();
        for field in limit.entries("a limit")? {
            match field.key() {
                "amount" => fields.amount = Some(field),
                "window" => fields.window = Some(field),
                _ => {
                    let reason = "unknown key: a limit has an `amount` and a `window`";
                    return Err(field.bad_key(reason.to_owned()));
                }
            }
        }
        Ok(fields)
    }
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

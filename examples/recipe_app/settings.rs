//! The settings, from environment variables.

use std::env::{self, VarError};
use std::net::SocketAddr;
use std::time::Duration;

use tower_quota::{MAX_UNITS, Mode};

/// Each feature, and how often a day a profile may use it unless `LIMITS` says otherwise.
const FEATURES: [(&str, u64); 6] = [
    ("remix", 1),
    ("remix_suggestions", 2),
    ("scale", 2),
    ("tips", 2),
    ("discover", 1),
    ("timer", 3),
];

pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) mode: Mode,
    pub(crate) limits: Vec<(&'static str, u64)>,
    pub(crate) operator_token: Option<String>,
    pub(crate) store: String,
    pub(crate) lease: Option<Duration>,
}

impl Settings {
    /// Reads all variables; the error names the one that makes no sense.
    pub(crate) fn from_env() -> Result<Self, String> {
        let token = read("OPERATOR_TOKEN", |token| Ok(token.to_owned()))?;
        Ok(Self {
            listen: read("LISTEN", parse_address)?.unwrap_or(([127, 0, 0, 1], 3000).into()),
            mode: read("AUTH_MODE", parse_mode)?.unwrap_or(Mode::Enforce),
            limits: read("LIMITS", parse_limits)?.unwrap_or(FEATURES.to_vec()),
            // An empty token would open the operators' routes to everybody.
            operator_token: token.filter(|token| !token.is_empty()),
            store: read("STORE", |place| Ok(place.to_owned()))?.unwrap_or("memory".to_owned()),
            lease: read("LEASE", parse_duration)?,
        })
    }
}

fn read<T>(
    variable: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let parsed = match env::var(variable) {
        Ok(value) => parse(&value).map(Some),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(value)) => Err(format!("{value:?} is not Unicode")),
    };
    parsed.map_err(|problem| format!("{variable}: {problem}"))
}

fn parse_address(value: &str) -> Result<SocketAddr, String> {
    let address = value.parse();
    address.map_err(|_| format!("{value:?} is not an address and port, such as 127.0.0.1:3000"))
}

fn parse_mode(value: &str) -> Result<Mode, String> {
    match value {
        "passkey" => Ok(Mode::Enforce),
        "home" => Ok(Mode::Unmetered),
        _ => Err(format!("{value:?} is neither `passkey` nor `home`")),
    }
}

/// A number and a unit: `10s`, `500ms`, `2m`.
fn parse_duration(value: &str) -> Result<Duration, String> {
    let unit = value.trim_start_matches(|it: char| it.is_ascii_digit());
    let number = value.strip_suffix(unit).and_then(|number| number.parse::<u32>().ok());
    let number = number.filter(|number| *number > 0);
    let duration = number.and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number.into())),
        "s" => Some(Duration::from_secs(number.into())),
        "m" => Some(Duration::from_secs(u64::from(number) * 60)),
        _ => None,
    });
    duration.ok_or_else(|| format!("{value:?} is not a duration, such as 10s, 500ms or 2m"))
}

/// The defaults with these overrides: `remix=50,tips=3`.
fn parse_limits(value: &str) -> Result<Vec<(&'static str, u64)>, String> {
    let mut limits = FEATURES.to_vec();
    let mut seen = Vec::new();
    for pair in value.split(',') {
        let Some((feature, units)) = pair.split_once('=') else {
            return Err(format!("{pair:?} is not of the form feature=units"));
        };
        let Some((_, limit)) = limits.iter_mut().find(|(known, _)| *known == feature) else {
            return Err(format!("there is no feature {feature:?}"));
        };
        if seen.contains(&feature) {
            return Err(format!("`{feature}` is there twice"));
        }
        seen.push(feature);
        let units = units.parse().ok().filter(|units| *units <= MAX_UNITS);
        *limit = units.ok_or_else(|| {
            format!("{pair:?}: the units are not a whole number from 0 to {MAX_UNITS}")
        })?;
    }
    Ok(limits)
}

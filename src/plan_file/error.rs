//! Why a text does not say what the plans are.

use std::error::Error as StdError;
use std::fmt;

use crate::error::ConfigError;

/// Why plans were not taken from a text: where the culprit stands, and what is wrong with it.
/// Nothing was changed.
///
/// It reads as one line, for whoever wrote the text:
///
/// ```
/// let error = tower_quota::plans_from_toml("[plans.free]\nremix.day = -5").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "line 2, column 13: plans.free.remix.day: \
///      an amount is a whole number from 0 to 999999999999999, not `-5`",
/// );
/// ```
///
/// Its [source](StdError::source) is the [`ConfigError`] or the error of the TOML parser that it was
/// made of, if there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFileError {
    place: Option<Place>,
    field: Option<String>,
    /// Boxed: it is large, and a result is handed on by every step of the reading.
    reason: Box<Reason>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is not TOML. Here is the line, too: it names the field.
    Syntax(toml::de::Error, String),
    /// It is TOML, and not of the form that plans have.
    Form(String),
    /// It is of that form, and says what no plan can be.
    Plans(ConfigError),
}

/// Counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// Where the byte at `offset` of `text` stands.
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let in_line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count().saturating_add(1),
            column: in_line.chars().count().saturating_add(1),
        }
    }
}

impl PlanFileError {
    pub(super) fn at(text: &str, offset: usize, field: &str, reason: Reason) -> Self {
        let place = Some(Place::of(text, offset));
        Self { place, field: Some(field.to_owned()), reason: Box::new(reason) }
    }

    pub(super) fn syntax(text: &str, error: toml::de::Error) -> Self {
        let place = error.span().map(|span| Place::of(text, span.start));
        let line = place.and_then(|place| text.lines().nth(place.line.saturating_sub(1)));
        let line = line.unwrap_or_default().trim().to_owned();
        Self { place, field: None, reason: Box::new(Reason::Syntax(error, line)) }
    }

    /// The line of the culprit, counted from 1; none if the text lacks something as a whole.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.place.map(|place| place.line)
    }

    /// The character in the line where the culprit begins, counted from 1.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.place.map(|place| place.column)
    }

    /// The path of the culprit: `plans.free.remix.day`; none if the text lacks something as a whole,
    /// or is not TOML.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

/// Of the plans as a whole: of what they lack.
impl From<ConfigError> for PlanFileError {
    fn from(error: ConfigError) -> Self {
        Self { place: None, field: None, reason: Box::new(Reason::Plans(error)) }
    }
}

impl fmt::Display for PlanFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        match &*self.reason {
            Reason::Syntax(error, line) => write!(f, "{}, in `{line}`", error.message()),
            Reason::Form(reason) => f.write_str(reason),
            Reason::Plans(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl StdError for PlanFileError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.reason {
            Reason::Syntax(error, _) => Some(error),
            Reason::Form(_) => None,
            Reason::Plans(error) => Some(error),
        }
    }
}

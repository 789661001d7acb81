//! What stands in the text, and where.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{PlanFileError, Reason};
use crate::bounds::MAX_UNITS;
use crate::error::ConfigError;

/// A key and its value.
pub(super) struct Entry<'a> {
    text: &'a str,
    /// The path from the root, as one writes it in TOML.
    field: String,
    key: &'a Spanned<DeString<'a>>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    /// The entries of the whole text.
    pub(super) fn all(text: &'a str, root: &'a DeTable<'a>) -> impl Iterator<Item = Self> {
        root.iter().map(move |(key, value)| Self {
            text,
            field: quoted(key.get_ref()).into_owned(),
            key,
            value,
        })
    }

    pub(super) fn key(&self) -> &'a str {
        self.key.get_ref()
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// The entries of a table, which has to be `expected`.
    pub(super) fn entries(&self, expected: &str) -> Result<Vec<Self>, PlanFileError> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return Err(self.unexpected(expected));
        };
        let entries = table.iter().map(|(key, value)| Self {
            text: self.text,
            field: format!("{}.{}", self.field, quoted(key.get_ref())),
            key,
            value,
        });
        Ok(entries.collect())
    }

    pub(super) fn text(&self, expected: &str) -> Result<&'a str, PlanFileError> {
        self.value.get_ref().as_str().ok_or_else(|| self.unexpected(expected))
    }

    pub(super) fn flag(&self) -> Result<bool, PlanFileError> {
        self.value.get_ref().as_bool().ok_or_else(|| self.unexpected("true or false"))
    }

    pub(super) fn amount(&self) -> Result<u64, PlanFileError> {
        self.number(&format!("an amount is a whole number from 0 to {MAX_UNITS}, not"))
    }

    pub(super) fn number(&self, expected: &str) -> Result<u64, PlanFileError> {
        let DeValue::Integer(number) = self.value.get_ref() else {
            let found = self.value.get_ref().type_str();
            return Err(self.bad_value(format!("{expected} of type {found}")));
        };
        u64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| self.bad_value(format!("{expected} `{number}`")))
    }

    /// The key is not what it has to be.
    pub(super) fn bad_key(&self, reason: impl Into<Reason>) -> PlanFileError {
        self.error(self.key.span().start, reason)
    }

    /// The value is not what it has to be.
    pub(super) fn bad_value(&self, reason: impl Into<Reason>) -> PlanFileError {
        self.error(self.value.span().start, reason)
    }

    fn unexpected(&self, expected: &str) -> PlanFileError {
        let found = self.value.get_ref().type_str();
        self.bad_value(format!("expected {expected}, not a value of type {found}"))
    }

    fn error(&self, offset: usize, reason: impl Into<Reason>) -> PlanFileError {
        PlanFileError::at(self.text, offset, &self.field, reason.into())
    }
}

impl From<String> for Reason {
    fn from(reason: String) -> Self {
        Self::Form(reason)
    }
}

impl From<ConfigError> for Reason {
    fn from(error: ConfigError) -> Self {
        Self::Plans(error)
    }
}

/// A key as it stands in a path: only some need quotes.
fn quoted(key: &str) -> Cow<'_, str> {
    let is_bare = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    if !key.is_empty() && key.chars().all(is_bare) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(format!("{key:?}"))
    }
}

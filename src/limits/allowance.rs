//! The limits of one feature, checked and given their identity.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::slice;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use compact_str::{CompactString, format_compact};
use foldhash::quality::FixedState;

use super::limit::Limit;
use super::window::Window;
use crate::bounds::{MAX_UNITS, is_name};
use crate::error::ConfigError;

/// What a count belongs to, beside the one whose count it is: feature, limit name, scope kind and
/// window kind. Never the plan nor the amount: both can change and what was used stays.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitKey {
    text: CompactString,
    /// Kept, because a key is made once and hashed in every request.
    hash: u64,
}

impl LimitKey {
    fn new(feature: &str, limit: &Limit) -> Self {
        // Names hold no slash, so two different keys never read the same.
        let (name, window) = (limit.name(), limit.window().kind());
        let text = format_compact!("{feature}/{name}/profile/{window}");
        let hash = FixedState::default().hash_one(text.as_str());
        Self { text, hash }
    }

    /// The key as text: the same in every process, and no other limit's.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Hash for LimitKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// A checked limit and the identity of its counts.
#[derive(Clone, Debug)]
pub(crate) struct KeyedLimit {
    pub(crate) limit: Limit,
    pub(crate) key: Arc<LimitKey>,
}

/// What somebody may spend of one feature: its checked limits, of which there is at least one.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    feature: CompactString,
    limits: Box<[KeyedLimit]>,
    /// The limits as clients are told of them, kept because every response says it.
    description: OnceLock<Bytes>,
}

impl Allowance {
    pub(crate) fn new(feature: &str, limits: &[Limit]) -> Result<Self, ConfigError> {
        check_name("feature", feature)?;
        if limits.is_empty() {
            let feature = feature.to_owned();
            return Err(ConfigError::NoLimits { feature });
        }
        for (index, limit) in limits.iter().enumerate() {
            check_limit(feature, limit)?;
            let before = limits.iter().take(index).map(Limit::name);
            check_unique("limit", limit.name(), before)?;
        }
        let keyed = limits.iter().map(|limit| KeyedLimit {
            limit: limit.clone(),
            key: Arc::new(LimitKey::new(feature, limit)),
        });
        Ok(Self {
            feature: CompactString::new(feature),
            limits: keyed.collect(),
            description: OnceLock::new(),
        })
    }

    /// The allowance of a plan that lacks a feature which another plan has: nothing, ever.
    pub(crate) fn nothing(feature: &str) -> Result<Self, ConfigError> {
        let limit = Limit::new(0, Window::Lifetime).named("not-in-plan");
        Self::new(feature, slice::from_ref(&limit))
    }

    pub(crate) fn feature(&self) -> &str {
        &self.feature
    }

    pub(crate) fn limits(&self) -> &[KeyedLimit] {
        &self.limits
    }

    /// The limits as `describe` puts them. It is asked once, unless some windows are longer than
    /// others.
    pub(crate) fn description(&self, describe: impl FnOnce() -> Bytes) -> Bytes {
        let mut limits = self.limits.iter();
        if limits.all(|keyed| keyed.limit.window().has_constant_length()) {
            self.description.get_or_init(describe).clone()
        } else {
            describe()
        }
    }
}

pub(crate) fn check_limit(feature: &str, limit: &Limit) -> Result<(), ConfigError> {
    check_name("limit", limit.name())?;
    if !limit.window().is_valid() {
        return Err(ConfigError::BadWindow {
            feature: feature.to_owned(),
            limit: limit.name().to_owned(),
        });
    }
    if limit.amount() > MAX_UNITS {
        return Err(ConfigError::AmountTooLarge {
            feature: feature.to_owned(),
            limit: limit.name().to_owned(),
            amount: limit.amount(),
        });
    }
    Ok(())
}

pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), ConfigError> {
    if is_name(name) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(ConfigError::BadName { what, name })
}

/// Names that differ in case alone are refused: somebody would mix them up.
pub(crate) fn check_unique<'a>(
    what: &'static str,
    name: &str,
    mut before: impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    match before.find(|first| first.eq_ignore_ascii_case(name)) {
        None => Ok(()),
        Some(first) => {
            Err(ConfigError::DuplicateName { what, name: name.to_owned(), first: first.to_owned() })
        }
    }
}

//! Which feature a request uses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;
use http::Method;

use super::head::RequestHead;
use crate::error::ConfigError;

/// How the requests of a route are metered: which feature they use, how many units of it, and what
/// becomes of a denial.
///
/// A feature's name alone is a rule: one unit, reserved by the layer, and a denial is answered.
///
/// ```
/// use tower_quota::Rule;
///
/// let rule = Rule::new("discover").units(2).forward_denials();
/// let plain = Rule::from("remix");
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    feature: CompactString,
    units: Units,
    forwards_denials: bool,
    reserved_by_handler: bool,
    extended_by_handler: bool,
}

#[derive(Clone)]
enum Units {
    Fixed(u64),
    Of(Arc<dyn Fn(&RequestHead<'_>) -> u64 + Send + Sync>),
    Estimate { fallback: u64, of: Arc<Estimate> },
}

type Estimate = dyn Fn(&RequestHead<'_>) -> Option<u64> + Send + Sync;

/// How many units a request asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// So many, or none.
    Exactly(u64),
    /// So many, or as many as the limits could ever hold if that is less.
    About(u64),
}

impl Rule {
    /// One unit of `feature` a request.
    #[must_use]
    pub fn new(feature: impl AsRef<str>) -> Self {
        Self {
            feature: CompactString::new(feature),
            units: Units::Fixed(1),
            forwards_denials: false,
            reserved_by_handler: false,
            extended_by_handler: false,
        }
    }

    /// This many units a request.
    #[must_use]
    pub fn units(mut self, units: u64) -> Self {
        self.units = Units::Fixed(units);
        self
    }

    /// As many units as `units` finds in the request's head.
    #[must_use]
    pub fn units_of(
        mut self,
        units: impl Fn(&RequestHead<'_>) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.units = Units::Of(Arc::new(units));
        self
    }

    /// About as many units as `estimate` finds in the request's head, or `fallback` where it cannot
    /// tell: never more than the feature's limits could ever hold, so that a wild guess is not a
    /// denial for ever. The handler [charges](crate::QuotaHandle::charge) what it took in the end.
    ///
    /// ```
    /// use tower_quota::Rule;
    ///
    /// let rule = Rule::new("chat").estimate(1_000, |head| {
    ///     let tokens = head.headers.get("x-max-tokens")?;
    ///     tokens.to_str().ok()?.parse().ok()
    /// });
    /// ```
    #[must_use]
    pub fn estimate(
        mut self,
        fallback: u64,
        estimate: impl Fn(&RequestHead<'_>) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        self.units = Units::Estimate { fallback, of: Arc::new(estimate) };
        self
    }

    /// Lets the handler [hold more](crate::QuotaHandle::hold_more) units than the layer has reserved.
    #[must_use]
    pub fn hold_more_in_handler(mut self) -> Self {
        self.extended_by_handler = true;
        self
    }

    /// Hands a denied request to the handler, with the [`Denial`](crate::Denial) in its extensions:
    /// it may have a cached result, and answers with
    /// [`denial_response`](crate::denial_response) if not.
    #[must_use]
    pub fn forward_denials(mut self) -> Self {
        self.forwards_denials = true;
        self
    }

    /// Leaves reserving to the handler, which calls
    /// [`QuotaHandle::reserve`](crate::QuotaHandle::reserve) once it knows what the request takes.
    #[must_use]
    pub fn reserve_in_handler(mut self) -> Self {
        self.reserved_by_handler = true;
        self
    }

    pub(super) fn feature(&self) -> &str {
        &self.feature
    }

    pub(super) fn units_for(&self, head: &RequestHead<'_>) -> Asked {
        match &self.units {
            Units::Fixed(units) => Asked::Exactly(*units),
            Units::Of(units) => Asked::Exactly(units(head)),
            Units::Estimate { fallback, of } => Asked::About(of(head).unwrap_or(*fallback)),
        }
    }

    pub(super) fn forwards_denials(&self) -> bool {
        self.forwards_denials
    }

    pub(super) fn is_extended_by_handler(&self) -> bool {
        self.extended_by_handler
    }

    pub(super) fn is_reserved_by_handler(&self) -> bool {
        self.reserved_by_handler
    }
}

impl From<&str> for Rule {
    fn from(feature: &str) -> Self {
        Self::new(feature)
    }
}

impl fmt::Debug for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(units) => fmt::Debug::fmt(units, f),
            Self::Of(_) => f.write_str("closure"),
            Self::Estimate { fallback, .. } => write!(f, "closure, or {fallback}"),
        }
    }
}

/// Finds the rule in a request's head.
pub(super) type Classify = dyn Fn(&RequestHead<'_>) -> Option<Rule> + Send + Sync;

/// The rules of a layer, as its builder was told.
#[derive(Default)]
pub(super) struct RouteList {
    pub(super) routes: Vec<(Option<Method>, String, Rule)>,
    pub(super) classify: Option<Box<Classify>>,
    pub(super) every_request: Option<Rule>,
}

impl RouteList {
    /// Every feature that is named here, for a check that it exists.
    pub(super) fn features(&self) -> impl Iterator<Item = &str> {
        let routed = self.routes.iter().map(|(_, _, rule)| rule);
        routed.chain(&self.every_request).map(Rule::feature)
    }
}

/// The rules of a layer, ready to be looked up: by path, else by the classifier, else the one for
/// every request.
pub(super) struct Routes {
    by_path: matchit::Router<ByMethod>,
    classify: Option<Box<Classify>>,
    every_request: Option<Rule>,
}

/// The rules of one pattern.
#[derive(Default)]
struct ByMethod {
    methods: Vec<(Method, Rule)>,
    any: Option<Rule>,
}

impl Routes {
    pub(super) fn new(list: RouteList) -> Result<Self, ConfigError> {
        if list.routes.is_empty() && list.classify.is_none() && list.every_request.is_none() {
            return Err(ConfigError::NoRoutes);
        }
        let mut patterns: BTreeMap<String, ByMethod> = BTreeMap::new();
        for (method, pattern, rule) in list.routes {
            check_route(method.as_ref(), &pattern)?;
            let rules = patterns.entry(pattern.clone()).or_default();
            rules.add(method, rule).map_err(|method| ConfigError::DuplicateRoute {
                route: format!("{method} {pattern}"),
            })?;
        }
        let mut by_path = matchit::Router::new();
        for (pattern, rules) in patterns {
            by_path
                .insert(pattern.clone(), rules)
                .map_err(|error| ConfigError::BadRoute { pattern, reason: error.to_string() })?;
        }
        Ok(Self { by_path, classify: list.classify, every_request: list.every_request })
    }

    fn at(&self, path: &str, method: &Method) -> Option<&Rule> {
        self.by_path.at(path).ok()?.value.get(method)
    }

    /// The rule for a request; none if it is not metered. `OPTIONS` never is: it is the browser's
    /// question before the request (a preflight), not a use.
    pub(super) fn find(&self, head: &RequestHead<'_>) -> Option<Cow<'_, Rule>> {
        if *head.method == Method::OPTIONS {
            return None;
        }
        let own = head.uri.path();
        let original = original_path(head).filter(|original| *original != own);
        let by_original = original.and_then(|path| self.at(path, head.method));
        if let Some(rule) = by_original.or_else(|| self.at(own, head.method)) {
            return Some(Cow::Borrowed(rule));
        }
        match &self.classify {
            Some(classify) => classify(head).map(Cow::Owned),
            None => self.every_request.as_ref().map(Cow::Borrowed),
        }
    }
}

/// Refuses what would match no request and so let them pass unmetered: `OPTIONS`, a pattern that
/// does not start with a slash, and the capture syntax of axum before 0.8.
fn check_route(method: Option<&Method>, pattern: &str) -> Result<(), ConfigError> {
    let reason = if method == Some(&Method::OPTIONS) {
        "OPTIONS is never metered"
    } else if !pattern.starts_with('/') {
        "a pattern starts with a slash"
    } else if pattern.split('/').any(|segment| segment.starts_with([':', '*'])) {
        "a capture is written {name}, the rest of a path {*name}"
    } else {
        return Ok(());
    };
    Err(ConfigError::BadRoute { pattern: pattern.to_owned(), reason: reason.to_owned() })
}

impl ByMethod {
    fn add(&mut self, method: Option<Method>, rule: Rule) -> Result<(), String> {
        match method {
            None if self.any.is_some() => return Err("any method".to_owned()),
            None => self.any = Some(rule),
            Some(method) if self.methods.iter().any(|(known, _)| *known == method) => {
                return Err(method.to_string());
            }
            Some(method) => self.methods.push((method, rule)),
        }
        Ok(())
    }

    /// The rule of this very method; a `HEAD` is metered as its `GET` would be.
    fn get(&self, method: &Method) -> Option<&Rule> {
        let of = |wanted: &Method| {
            let mut rules = self.methods.iter();
            rules.find(|(known, _)| known == wanted).map(|(_, rule)| rule)
        };
        let own = of(method);
        let own = own.or_else(|| of(&Method::GET).filter(|_| method == Method::HEAD));
        own.or(self.any.as_ref())
    }
}

/// The whole path. Inside `Router::nest` axum strips the prefix from the request's own URI and keeps
/// the whole one aside; but a layer in between may have rewritten the request's own since.
#[cfg(feature = "axum")]
fn original_path<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let original = head.extensions.get::<axum::extract::OriginalUri>()?;
    Some(original.0.path())
}

#[cfg(not(feature = "axum"))]
fn original_path<'a>(_head: &RequestHead<'a>) -> Option<&'a str> {
    None
}

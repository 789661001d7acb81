//! Which feature a request uses.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::Method;

use super::head::RequestHead;
use super::rule::Rule;
use crate::error::ConfigError;

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

//! How a layer is built.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use compact_str::CompactString;
use http::{Method, Response};

use super::denial::AnswerDenial;
use super::head::RequestHead;
use super::headers::Headers;
use super::identity::Identity;
use super::layer::QuotaLayer;
use super::outcome::Outcome;
use super::profiles::Profiles;
use super::route::{RouteList, Routes};
use super::rule::Rule;
use super::rules::{MakeProfile, OnStoreFailure, Payer, Rules, Unidentified};
use super::settling::Policy;
use crate::decision::{Denial, Settlement};
use crate::error::ConfigError;
use crate::limits::Profile;
use crate::needs::Needs;
use crate::quotas::Quotas;
use crate::striped::Striped;

impl QuotaLayer {
    /// Starts to build a layer over this engine.
    pub fn builder(quotas: Quotas) -> QuotaLayerBuilder {
        QuotaLayerBuilder {
            quotas,
            routes: RouteList::default(),
            identity: None,
            payer: None,
            unidentified: Unidentified::default(),
            on_store_failure: OnStoreFailure::default(),
            policy: None,
            denial: None,
            headers: Headers::default(),
        }
    }
}

/// Builds a layer: [`QuotaLayer::builder`].
///
/// It wants to know which requests are metered ([`route`](Self::route),
/// [`classify`](Self::classify), [`feature`](Self::feature)) and who pays
/// ([`identify`](Self::identify) with [`plan`](Self::plan) or [`profiles`](Self::profiles), or
/// [`profile`](Self::profile)); all else has a default.
#[must_use = "a builder does nothing until `build` is called"]
pub struct QuotaLayerBuilder {
    quotas: Quotas,
    routes: RouteList,
    identity: Option<Box<dyn Identity>>,
    payer: Option<PayerKind>,
    unidentified: Unidentified,
    on_store_failure: OnStoreFailure,
    policy: Option<Striped<Arc<Policy>>>,
    denial: Option<Box<AnswerDenial>>,
    headers: Headers,
}

/// How somebody who is identified gets their profile.
enum PayerKind {
    Made(Box<MakeProfile>),
    OnPlan(CompactString),
    Loaded(Profiles),
}

impl QuotaLayerBuilder {
    /// Meters requests of this method whose path matches `pattern`. `rule` is a feature's name, or
    /// a [`Rule`].
    pub fn route(
        mut self,
        method: Method,
        pattern: impl Into<String>,
        rule: impl Into<Rule>,
    ) -> Self {
        let route = (Some(method), pattern.into(), rule.into());
        self.routes.routes.push(route);
        self
    }

    /// Meters requests of any method but `OPTIONS` whose path matches `pattern`, unless there is a
    /// rule for their method.
    pub fn any_method(mut self, pattern: impl Into<String>, rule: impl Into<Rule>) -> Self {
        self.routes.routes.push((None, pattern.into(), rule.into()));
        self
    }

    /// Asks `classify` about the requests for which there is no route.
    pub fn classify(
        mut self,
        classify: impl Fn(&RequestHead<'_>) -> Option<Rule> + Send + Sync + 'static,
    ) -> Self {
        self.routes.classify = Some(Box::new(classify));
        self
    }

    /// Meters every request for which there is no route: for a layer around a single route. Where
    /// there is a [classifier](Self::classify), its word is the last, and this is not asked.
    pub fn feature(mut self, rule: impl Into<Rule>) -> Self {
        self.routes.every_request = Some(rule.into());
        self
    }

    /// Says who a request is from. With it goes either [`plan`](Self::plan) or
    /// [`profiles`](Self::profiles).
    pub fn identify(mut self, identity: impl Identity) -> Self {
        self.identity = Some(Box::new(identity));
        self
    }

    /// Puts everybody who is identified on this plan.
    pub fn plan(mut self, plan: impl AsRef<str>) -> Self {
        self.payer = Some(PayerKind::OnPlan(CompactString::new(plan)));
        self
    }

    /// Looks up everybody who is identified.
    pub fn profiles(mut self, profiles: Profiles) -> Self {
        self.payer = Some(PayerKind::Loaded(profiles));
        self
    }

    /// Makes the profile of the request's head, without an identity: where an authentication layer
    /// has left all that is needed.
    pub fn profile(
        mut self,
        profile: impl Fn(&RequestHead<'_>) -> Option<Profile> + Send + Sync + 'static,
    ) -> Self {
        self.payer = Some(PayerKind::Made(Box::new(profile)));
        self
    }

    /// What becomes of requests of which nobody knows who pays. By default, 401.
    pub fn unidentified(mut self, unidentified: Unidentified) -> Self {
        self.unidentified = unidentified;
        self
    }

    /// What becomes of requests when the store fails. By default, 503. Where the handler reserves, it
    /// decides that itself.
    pub fn on_store_failure(mut self, policy: OnStoreFailure) -> Self {
        self.on_store_failure = policy;
        self
    }

    /// Decides what an outcome costs. By default, [`Outcome::settlement`] does.
    ///
    /// It must not panic: if it does, the default is taken.
    ///
    /// ```
    /// # use tower_quota::{Ending, Outcome, QuotaLayerBuilder, Settlement};
    /// # fn charge_abandoned(builder: QuotaLayerBuilder) -> QuotaLayerBuilder {
    /// // Whoever goes away before the answer pays all the same: the work was done.
    /// builder.outcome_policy(|outcome: &Outcome<'_>| match outcome.ending() {
    ///     Ending::Dropped => Settlement::Commit,
    ///     _ => outcome.settlement(),
    /// })
    /// # }
    /// ```
    pub fn outcome_policy(
        mut self,
        policy: impl Fn(&Outcome<'_>) -> Settlement + Send + Sync + 'static,
    ) -> Self {
        let policy = Arc::new(policy);
        self.policy = Some(Striped::new(|| -> Arc<Policy> {
            let policy = policy.clone();
            Arc::new(move |outcome: &Outcome<'_>| policy(outcome))
        }));
        self
    }

    /// In which dialect responses say where the profile stands. By default, draft 11.
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Builds the response to a denied request. By default,
    /// [`denial_response`](crate::denial_response) does.
    ///
    /// The layer adds the rate limit headers, and `Retry-After` and `Cache-Control` where they are
    /// missing. A gRPC request is answered with a gRPC status all the same.
    pub fn denial<T: Into<Bytes>>(
        mut self,
        answer: impl Fn(&Denial) -> Response<T> + Send + Sync + 'static,
    ) -> Self {
        let answer = move |denial: &Denial| answer(denial).map(Into::into);
        self.denial = Some(Box::new(answer));
        self
    }

    /// Checks what the builder was told, and builds the layer.
    ///
    /// # Errors
    ///
    /// Two routes conflict, a route or the plan is not known to the engine, or it was not said what
    /// is metered or who pays. The error names the culprit.
    pub fn build(self) -> Result<QuotaLayer, ConfigError> {
        static LAYERS: AtomicU64 = AtomicU64::new(0);
        let needs = self.quotas.engine().need(self.needs())?;
        let payer = match (self.payer, self.identity) {
            (Some(PayerKind::Made(make)), _) => Payer::Made(make),
            (Some(PayerKind::OnPlan(plan)), Some(identity)) => Payer::OnPlan(identity, plan),
            (Some(PayerKind::Loaded(profiles)), Some(identity)) => {
                Payer::Loaded(identity, profiles)
            }
            (_, None) | (None, _) => return Err(ConfigError::NoPayer),
        };
        if let Unidentified::Profile(profile) = &self.unidentified {
            if profile.id().check().is_err() {
                return Err(ConfigError::BadId { length: profile.id().as_bytes().len() });
            }
        }
        Ok(QuotaLayer::new(Rules {
            layer: LAYERS.fetch_add(1, Ordering::Relaxed),
            quotas: self.quotas,
            _needs: needs,
            routes: Routes::new(self.routes)?,
            payer,
            unidentified: self.unidentified,
            on_store_failure: self.on_store_failure,
            policy: self.policy,
            denial: self.denial,
            headers: self.headers,
        }))
    }

    fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        needs.features.extend(self.routes.features().map(CompactString::new));
        if let Some(PayerKind::OnPlan(plan)) = &self.payer {
            needs.plans.push(plan.clone());
        }
        if let Unidentified::Profile(profile) = &self.unidentified {
            needs.plans.push(CompactString::new(profile.plan()));
        }
        needs
    }
}

impl fmt::Debug for QuotaLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaLayerBuilder").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

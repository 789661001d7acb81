//! What the layer was told, and what follows from it for a request: the decision, apart from the
//! plumbing.

use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;
use futures::future::FutureExt;
use http::{HeaderValue, Request, Response};

use super::denial::{AnswerDenial, answer_denial};
use super::handle::{Order, QuotaHandle};
use super::head::RequestHead;
use super::headers::Headers;
use super::identity::Identity;
use super::profiles::{Loaded, Profiles};
use super::refusal::Refusal;
use super::route::Routes;
use super::rule::Rule;
use super::settling::{Policy, Settling};
use crate::clock::Timestamp;
use crate::decision::Denial;
use crate::error::{Error, StoreError};
use crate::limits::{Profile, ProfileId};
use crate::needs::Needs;
use crate::quotas::{Asked, Quotas};
use crate::reservation::Decision;
use crate::store::Answer;
use crate::striped::Striped;

/// What becomes of a request when nobody knows who pays: it has no identity, or an unknown one.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Unidentified {
    /// It is answered with 401. RFC 9110 wants a challenge with it: see
    /// [`Challenge`](Self::Challenge).
    #[default]
    Refuse,
    /// It is answered with 401 and this `WWW-Authenticate`.
    Challenge(HeaderValue),
    /// It passes unmetered, without a [`QuotaHandle`].
    Pass,
    /// This profile pays, for all such requests together.
    Profile(Profile),
}

/// What becomes of a request when the store fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreFailure {
    /// It is answered with 503.
    #[default]
    Refuse,
    /// It passes, and nothing is counted. With feature `tracing` that is a warning.
    Allow,
}

/// Makes a profile of a request's head.
pub(super) type MakeProfile = dyn Fn(&RequestHead<'_>) -> Option<Profile> + Send + Sync;

/// Who pays.
pub(super) enum Payer {
    /// Whom the closure names.
    Made(Box<MakeProfile>),
    /// Whoever is identified, on this plan.
    OnPlan(Box<dyn Identity>, CompactString),
    /// Whoever is identified, as the source knows them.
    Loaded(Box<dyn Identity>, Profiles),
}

/// All that a layer was told.
pub(super) struct Rules {
    /// Tells this layer from others that a request meets.
    pub(super) layer: u64,
    pub(super) quotas: Quotas,
    /// Kept so that no change of plans takes away what this layer needs.
    pub(super) _needs: Arc<Needs>,
    pub(super) routes: Routes,
    pub(super) payer: Payer,
    pub(super) unidentified: Unidentified,
    pub(super) on_store_failure: OnStoreFailure,
    /// Where there is no closure, the default applies.
    pub(super) policy: Option<Striped<Arc<Policy>>>,
    pub(super) denial: Option<Box<AnswerDenial>>,
    pub(super) headers: Headers,
}

/// What is to be done with a request.
pub(super) enum Admission {
    /// Run it untouched: it is not metered.
    Pass,
    /// Run it. There is no decision where the handler is to reserve, or where the store failed and
    /// requests may pass; a denial is forwarded.
    Run(Option<Decision>, Option<Box<Order>>),
    /// Answer the denial.
    Deny(Denial),
    /// Answer that nothing could be decided.
    Refuse(Refusal),
}

/// Who pays; none if the request passes unmetered.
type Paying = Result<Option<Profile>, Refusal>;

impl Rules {
    /// Which feature, who pays, reserve.
    pub(super) fn admit(self: &Arc<Self>, head: &RequestHead<'_>) -> Answer<Admission> {
        let Some(rule) = self.routes.find(head) else {
            return Answer::Ready(Admission::Pass);
        };
        let outer = head.extensions.get::<QuotaHandle>();
        if outer.is_some_and(|outer| outer.has_met(self.layer)) {
            return Answer::Ready(Admission::Pass);
        }
        let asked = rule.units_for(head);
        let now = self.quotas.engine().now();
        match self.paying(head, now) {
            Answer::Ready(paying) => self.reserve(&paying, &rule, asked, now),
            Answer::Pending(paying) => {
                let (rules, rule) = (self.clone(), rule.into_owned());
                let admission =
                    async move { rules.reserve(&paying.await, &rule, asked, now).await };
                Answer::Pending(admission.boxed())
            }
        }
    }

    /// Puts the handle, and a denial that is forwarded, into the request's extensions.
    pub(super) fn enter<B>(
        &self,
        request: &mut Request<B>,
        decision: Option<Decision>,
        order: Option<Box<Order>>,
    ) -> Settling {
        let extensions = request.extensions_mut();
        if let Some(Decision::Denied(denial)) = &decision {
            extensions.insert(denial.clone());
        }
        let outer = extensions.get::<QuotaHandle>().cloned();
        let handle = QuotaHandle::new(self.layer, outer, order, decision);
        extensions.insert(handle.clone());
        let policy = self.policy.as_ref().map(|policy| policy.pick().clone());
        Settling::new(handle, policy, self.headers, request.method())
    }

    /// The answer to a denied request.
    pub(super) fn deny(&self, denial: &Denial, is_grpc: bool) -> Response<Bytes> {
        let mut response = answer_denial(denial, self.denial.as_deref(), is_grpc);
        self.headers.write(denial.standing(), response.headers_mut());
        response
    }

    pub(super) fn paying(&self, head: &RequestHead<'_>, now: Timestamp) -> Answer<Paying> {
        let known = match &self.payer {
            Payer::Made(make) => make(head),
            Payer::OnPlan(identity, plan) => {
                let id = identity.identify(head);
                id.map(|id| Profile::of(id, plan.clone()))
            }
            Payer::Loaded(identity, profiles) => match identity.identify(head) {
                Some(id) => return self.loaded(profiles, &id, now),
                None => None,
            },
        };
        Answer::Ready(self.unidentified.resolve(known))
    }

    fn loaded(&self, profiles: &Profiles, id: &ProfileId, now: Timestamp) -> Answer<Paying> {
        if let Err(error) = id.check() {
            return Answer::Ready(Err(error.into()));
        }
        let resolve = |loaded: Loaded, unidentified: &Unidentified| match loaded {
            Ok(known) => unidentified.resolve(known),
            Err(error) => Err(Refusal::unavailable(error)),
        };
        match profiles.get(id, now) {
            Answer::Ready(loaded) => Answer::Ready(resolve(loaded, &self.unidentified)),
            Answer::Pending(load) => {
                let unidentified = self.unidentified.clone();
                Answer::Pending(load.map(move |loaded| resolve(loaded, &unidentified)).boxed())
            }
        }
    }

    fn reserve(
        &self,
        paying: &Paying,
        rule: &Rule,
        asked: Asked,
        now: Timestamp,
    ) -> Answer<Admission> {
        let profile = match paying {
            Ok(Some(profile)) => profile,
            Ok(None) => return Answer::Ready(Admission::Pass),
            Err(refusal) => return Answer::Ready(Admission::Refuse(refusal.clone())),
        };
        if rule.is_reserved_by_handler() {
            if let Err(error) = profile.check_ids() {
                return Answer::Ready(Admission::Refuse(error.into()));
            }
            return Answer::Ready(Admission::Run(None, Some(order(&self.quotas, profile, rule))));
        }
        let order = rule.is_extended_by_handler().then(|| order(&self.quotas, profile, rule));
        let forwards_denials = rule.forwards_denials();
        let on_store_failure = self.on_store_failure;
        let decision = self.quotas.reserve_at(profile, rule.feature(), asked, now);
        decision.map(move |decision| match decision {
            Ok(Decision::Denied(denial)) if !forwards_denials => Admission::Deny(denial),
            Ok(decision) => Admission::Run(Some(decision), order),
            Err(Error::Store(error)) if on_store_failure == OnStoreFailure::Allow => {
                say_uncounted(&error);
                Admission::Run(None, None)
            }
            Err(error) => Admission::Refuse(error.into()),
        })
    }
}

/// What the handler may reserve.
fn order(quotas: &Quotas, profile: &Profile, rule: &Rule) -> Box<Order> {
    let (quotas, profile) = (quotas.clone(), profile.clone());
    Box::new(Order { quotas, profile, feature: rule.feature().to_owned() })
}

#[cfg(feature = "tracing")]
fn say_uncounted(error: &StoreError) {
    let error: &(dyn std::error::Error + 'static) = error;
    tracing::warn!(error, "the quota store failed, and a request passes uncounted");
}

#[cfg(not(feature = "tracing"))]
fn say_uncounted(_error: &StoreError) {}

impl Unidentified {
    fn resolve(&self, known: Option<Profile>) -> Paying {
        match (known, self) {
            (Some(profile), _) => Ok(Some(profile)),
            (None, Self::Refuse) => Err(Refusal::Unidentified(None)),
            (None, Self::Challenge(challenge)) => {
                Err(Refusal::Unidentified(Some(challenge.clone())))
            }
            (None, Self::Pass) => Ok(None),
            (None, Self::Profile(profile)) => Ok(Some(profile.clone())),
        }
    }
}

//! Law 7: a store failure is not a denial; and a store that takes its time.

mod slow;

use std::convert::Infallible;
use std::error::Error;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    Failure, HandleError, Limit, OnStoreFailure, Plan, QuotaHandle, QuotaLayer, QuotaLayerBuilder,
    Quotas, ResponseBody, Rule, Window,
};

use crate::support::{BrokenStore, daily, daily_in, get, json, metered, noon, payer};

const BROKEN: [BrokenStore; 2] = [BrokenStore::AtOnce, BrokenStore::Later];

fn over(store: BrokenStore) -> QuotaLayerBuilder {
    metered(&daily_in(store, 5))
}

/// A request's answer, and how often the inner service was called for it.
async fn send(
    layer: &QuotaLayer,
    request: Request<()>,
    say: impl Fn(&QuotaHandle) + Clone,
) -> (Response<ResponseBody<Empty<bytes::Bytes>>>, usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let inner = service_fn(move |request: Request<()>| {
        count.fetch_add(1, Ordering::SeqCst);
        say(request.extensions().get().unwrap());
        future::ready(Ok::<_, Infallible>(Response::new(Empty::new())))
    });
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    (response, calls.load(Ordering::SeqCst))
}

#[tokio::test]
async fn it_is_a_503_that_says_to_come_back_soon() {
    for store in BROKEN {
        let layer = over(store).build().unwrap();
        let (refused, calls) = send(&layer, get(), |_| {}).await;
        assert_eq!(calls, 0);
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let headers = refused.headers();
        assert_eq!(headers["retry-after"], "1");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(!headers.contains_key("ratelimit"));
        let problem = json(refused).await;
        assert_eq!(problem["status"], 503);
        let kind = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
        assert_eq!(problem["type"], kind);
        assert!(!problem.to_string().contains("the wire is cut"));
    }
}

#[tokio::test]
async fn what_went_wrong_is_for_a_layer_further_out_to_log() {
    let layer = over(BrokenStore::AtOnce).build().unwrap();
    let (refused, _) = send(&layer, get(), |_| {}).await;
    let failure = refused.extensions().get::<Failure>().unwrap();
    assert_eq!(failure.to_string(), "the quota store failed to answer");
    assert_eq!(failure.source().unwrap().to_string(), "the wire is cut");
}

#[tokio::test]
async fn it_is_a_status_to_grpc() {
    let layer = over(BrokenStore::AtOnce).build().unwrap();
    let request = Request::post("/").header("content-type", "application/grpc");
    let (refused, _) = send(&layer, request.body(()).unwrap(), |_| {}).await;
    assert_eq!(refused.status(), StatusCode::OK);
    assert_eq!(refused.headers()["grpc-status"], "14");
    assert!(refused.body().is_end_stream());
}

#[tokio::test]
async fn it_is_no_denial_that_could_be_forwarded() {
    let rule = Rule::new("remix").forward_denials();
    let layer = over(BrokenStore::AtOnce).feature(rule).build().unwrap();
    let (refused, calls) = send(&layer, get(), |_| {}).await;
    assert_eq!((refused.status().as_u16(), calls), (503, 0));
}

#[tokio::test]
async fn where_it_is_allowed_the_request_passes_and_the_handle_s_words_are_harmless() {
    for store in BROKEN {
        let layer = over(store).on_store_failure(OnStoreFailure::Allow);
        let layer = layer.build().unwrap();
        let (passed, calls) = send(&layer, get(), |quota| {
            assert!(quota.standing().is_none());
            assert_eq!((quota.remaining(), quota.resets_at()), (None, None));
            quota.charge(3).unwrap();
            quota.release().unwrap();
            assert!(quota.take().unwrap().is_none());
        })
        .await;
        assert_eq!((passed.status(), calls), (StatusCode::OK, 1));
        assert!(passed.headers().is_empty());
        assert!(passed.extensions().get::<Failure>().is_none());
    }
}

#[tokio::test]
async fn where_it_is_allowed_the_handler_still_may_not_reserve() {
    let layer = over(BrokenStore::AtOnce).on_store_failure(OnStoreFailure::Allow);
    let inner = service_fn(async |request: Request<()>| {
        let quota: &QuotaHandle = request.extensions().get().unwrap();
        let refused = quota.reserve(1).await;
        assert!(matches!(refused, Err(HandleError::ReservedByLayer)));
        Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
    });
    let service = layer.build().unwrap().layer(inner);
    service.oneshot(get()).await.unwrap();
}

/// To allow what cannot be counted is not to allow what is wrong.
#[tokio::test]
async fn where_it_is_allowed_a_bad_id_and_an_unknown_plan_are_refused_all_the_same() {
    for (profile, status) in [(("", "free"), 400), (("7", "gold"), 500)] {
        let layer = over(BrokenStore::AtOnce)
            .on_store_failure(OnStoreFailure::Allow)
            .profile(move |_| Some(tower_quota::Profile::new(profile.0, profile.1)))
            .build()
            .unwrap();
        let (refused, calls) = send(&layer, get(), |_| {}).await;
        assert_eq!((refused.status().as_u16(), calls), (status, 0));
    }
}

/// The engine cannot know what a classifier will name; plans that are replaced later may lack it.
#[tokio::test]
async fn a_feature_that_no_plan_has_any_more_is_a_500_and_not_a_pass() {
    let quotas = daily(&noon(), 5);
    let layer = QuotaLayer::builder(quotas.clone())
        .classify(|_| Some(Rule::new("remix")))
        .profile(|_| Some(payer()))
        .on_store_failure(OnStoreFailure::Allow)
        .build()
        .unwrap();
    let other = Plan::new("free").feature("chat", [Limit::new(1, Window::Day)]);
    quotas.set_plans([other]).unwrap();
    let (refused, calls) = send(&layer, get(), |_| {}).await;
    assert_eq!(calls, 0);
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let failure = refused.extensions().get::<Failure>().unwrap();
    assert!(failure.to_string().contains("remix"));
    assert!(!refused.headers().contains_key("retry-after"));
    assert_eq!(json(refused).await["status"], 500);
}

#[tokio::test]
async fn a_feature_that_a_classifier_invents_is_a_500() {
    let layer = QuotaLayer::builder(daily(&noon(), 5))
        .classify(|_| Some(Rule::new("invented")))
        .profile(|_| Some(payer()));
    let (refused, calls) = send(&layer.build().unwrap(), get(), |_| {}).await;
    assert_eq!((refused.status().as_u16(), calls), (500, 0));
}

#[tokio::test]
async fn an_unmetered_engine_and_an_unlimited_profile_need_no_store() {
    let quotas: Quotas = daily_in(BrokenStore::AtOnce, 5);
    let owner = metered(&quotas).profile(|_| Some(payer().unlimited(true)));
    let (passed, calls) = send(&owner.build().unwrap(), get(), |_| {}).await;
    assert_eq!((passed.status(), calls), (StatusCode::OK, 1));
    quotas.set_mode(tower_quota::Mode::Unmetered);
    let (passed, calls) = send(&metered(&quotas).build().unwrap(), get(), |_| {}).await;
    assert_eq!((passed.status(), calls), (StatusCode::OK, 1));
}

//! The usage service: what a profile has used, as JSON.

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use serde_json::json;
use tower::ServiceExt;
use tower_quota::{
    Error, HeaderIdentity, Limit, Plan, QuotaLayer, QuotaLayerBuilder, Quotas, Scope, Unidentified,
    Window,
};

use crate::support::{
    self, BrokenStore, daily_in, granted, metered, noon, now, payer, profile, reserve, spend,
};

const WHO: HeaderName = HeaderName::from_static("x-who");

fn engine() -> Quotas {
    let free = Plan::new("free")
        .feature("remix", [Limit::new(5, Window::Day), Limit::new(9, Window::Lifetime)]);
    let pro = Plan::new("pro").feature("chat", [Limit::new(7, Window::Month)]);
    let builder = Quotas::builder().plan(free).plan(pro).clock(noon());
    builder.build().unwrap()
}

fn identified(quotas: &Quotas) -> QuotaLayerBuilder {
    let builder = QuotaLayer::builder(quotas.clone()).feature("remix");
    builder.identify(HeaderIdentity::new(WHO)).plan("free")
}

fn from(who: &str) -> Request<&'static str> {
    let request = Request::builder().header(WHO, who);
    request.body("whatever").unwrap()
}

async fn ask<B>(layer: QuotaLayerBuilder, request: Request<B>) -> Response<Bytes> {
    let response = layer.build().unwrap().usage().oneshot(request).await;
    let (head, body) = response.unwrap().into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap();
    Response::from_parts(head, body.to_bytes())
}

fn parsed(response: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn it_tells_every_feature_and_limit() {
    let quotas = engine();
    spend(&quotas, &payer(), 2);
    let held = granted(reserve(&quotas, &payer()));
    let usage = ask(identified(&quotas), from("7")).await;
    assert_eq!(usage.status(), StatusCode::OK);
    assert_eq!(usage.headers()["content-type"], "application/json");
    assert_eq!(usage.headers()["cache-control"], "no-store");
    let expected = json!({
        "unlimited": false,
        "features": {
            "remix": {
                "day": {
                    "limit": 5, "used": 2, "held": 1, "remaining": 2,
                    "resets_at": "2026-11-25T00:00:00Z",
                },
                "lifetime": {
                    "limit": 9, "used": 2, "held": 1, "remaining": 6, "resets_at": null,
                },
            },
            // Of another plan: this profile gets none of it.
            "chat": {
                "not-in-plan": {
                    "limit": 0, "used": 0, "held": 0, "remaining": 0, "resets_at": null,
                },
            },
        },
    });
    assert_eq!(parsed(&usage), expected);
    drop(held);
}

#[tokio::test]
async fn unused_is_all_zeros() {
    let usage = parsed(&ask(identified(&engine()), from("7")).await);
    let day = &usage["features"]["remix"]["day"];
    assert_eq!((&day["used"], &day["held"]), (&json!(0), &json!(0)));
    assert_eq!(day["remaining"], 5);
}

#[tokio::test]
async fn a_use_beyond_the_limit_shows() {
    let quotas = engine();
    now(quotas.debit(&payer(), "remix", 8)).unwrap();
    let usage = parsed(&ask(identified(&quotas), from("7")).await);
    let day = &usage["features"]["remix"]["day"];
    assert_eq!((&day["used"], &day["remaining"]), (&json!(8), &json!(0)));
}

#[tokio::test]
async fn it_counts_nothing_and_is_not_metered() {
    let quotas = engine();
    for _ in 0..20 {
        let usage = ask(identified(&quotas), from("7")).await;
        assert_eq!(usage.status(), StatusCode::OK);
        assert!(!usage.headers().contains_key("ratelimit"));
    }
    let usage = parsed(&ask(identified(&quotas), from("7")).await);
    assert_eq!(usage["features"]["remix"]["day"]["used"], 0);
}

#[tokio::test]
async fn each_profile_is_told_its_own() {
    let quotas = engine();
    spend(&quotas, &profile("8"), 2);
    let used = async |who| {
        let usage = parsed(&ask(identified(&quotas), from(who)).await);
        usage["features"]["remix"]["day"]["used"].as_u64().unwrap()
    };
    assert_eq!((used("7").await, used("8").await), (0, 2));
}

#[tokio::test]
async fn an_unlimited_profile_is_told_so() {
    let quotas = engine();
    let layer = metered(&quotas).profile(|_| Some(payer().unlimited(true)));
    let usage = parsed(&ask(layer, Request::new(())).await);
    assert_eq!(usage["unlimited"], true);
    assert_eq!(usage["features"]["remix"]["day"]["limit"], 5);
}

#[tokio::test]
async fn what_needs_a_tenant_is_left_out_for_who_has_none() {
    let shared = |limit: Limit| limit.named("company").scope(Scope::Tenant);
    let plan = Plan::new("free")
        .feature("chat", [shared(Limit::new(9, Window::Day)), Limit::new(4, Window::Day)])
        .feature("remix", [Limit::new(5, Window::Day)])
        .feature("try", [Limit::new(6, Window::Day), shared(Limit::new(9, Window::Day)).shadow()])
        .feature("upload", [Limit::new(3, Window::Lifetime)]);
    let quotas = Quotas::builder().plan(plan).clock(noon()).build().unwrap();
    spend(&quotas, &payer(), 2);
    now(quotas.debit(&payer(), "upload", 1)).unwrap();
    now(quotas.debit(&payer(), "chat", 1)).unwrap();

    let told = now(quotas.usage(&payer())).unwrap();
    let features: Vec<_> = told.standings().map(tower_quota::Standing::feature).collect();
    assert_eq!(features, ["remix", "upload"]);
    assert!(told.feature("chat").is_none());
    let usage = parsed(&ask(identified(&quotas), from("7")).await);
    let day = json!({
        "limit": 5, "used": 2, "held": 0, "remaining": 3, "resets_at": "2026-11-25T00:00:00Z",
    });
    let lifetime = json!({
        "limit": 3, "used": 1, "held": 0, "remaining": 2, "resets_at": null,
    });
    let expected = json!({ "remix": { "day": day }, "upload": { "lifetime": lifetime } });
    assert_eq!(usage["features"], expected);
    // What is left out is what cannot be reserved.
    for feature in ["chat", "try"] {
        let refused = [
            now(quotas.reserve(&payer(), feature, 1)).map(drop),
            now(quotas.check(&payer(), feature, 1)).map(drop),
        ];
        assert!(refused.iter().all(|it| matches!(it, Err(Error::NoTenant(_)))), "{refused:?}");
    }

    let layer = metered(&quotas).profile(|_| Some(payer().tenant("acme")));
    let usage = parsed(&ask(layer, Request::new(())).await);
    let chat = &usage["features"]["chat"];
    assert_eq!((&chat["day"]["used"], &chat["company"]["used"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn nobody_is_refused_also_where_nobodies_pass() {
    let quotas = engine();
    let refused = ask(identified(&quotas), Request::new(())).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");

    let layer = identified(&quotas).unidentified(Unidentified::Pass);
    let refused = ask(layer, Request::new(())).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobodies_are_told_of_the_profile_that_they_share() {
    let quotas = engine();
    spend(&quotas, &profile("guests"), 3);
    let layer = identified(&quotas).unidentified(Unidentified::Profile(profile("guests")));
    let usage = parsed(&ask(layer, Request::new(())).await);
    assert_eq!(usage["features"]["remix"]["day"]["used"], 3);
}

#[tokio::test]
async fn a_bad_id_is_a_bad_request() {
    let refused = ask(identified(&engine()), from("")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_store_failure_is_a_503() {
    for store in [BrokenStore::AtOnce, BrokenStore::Later] {
        let quotas = daily_in(store, 5);
        let refused = ask(identified(&quotas), from("7")).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
    }
}

#[tokio::test]
async fn it_is_a_service_of_an_axum_router() {
    let quotas = engine();
    let usage = identified(&quotas).build().unwrap().usage();
    let app = axum::Router::new().route("/usage", axum::routing::get_service(usage));
    let request = Request::get("/usage").header(WHO, "7");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(support::json(response).await["unlimited"], false);
}

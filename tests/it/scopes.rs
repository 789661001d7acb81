//! Tenants: who has none, who has an odd one, and what is told of limits of several kinds.

use http::Method;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Error, Limit, Plan, Profile, QuotaLayer, Quotas, Scope, Window};

use crate::support::{empty, granted, noon, now, profile, race, request, reserve, spend};

/// A limit of one's own, and one of the company's.
fn company() -> Quotas {
    let limits = [
        Limit::new(2, Window::Day),
        Limit::new(5, Window::Day).named("company").scope(Scope::Tenant),
    ];
    let plan = Plan::new("free").feature("remix", limits);
    Quotas::builder().plan(plan).clock(noon()).build().unwrap()
}

#[test]
fn who_has_no_tenant_cannot_spend_what_is_a_tenants() {
    let quotas = company();
    let error = now(quotas.reserve(&profile("7"), "remix", 1)).unwrap_err();
    assert!(matches!(&error, Error::NoTenant(limit) if limit == "company"), "{error}");
    // An operator may see to what is one's own all the same.
    now(quotas.debit(&profile("7"), "remix", 1)).unwrap();
    let employed = profile("7").tenant("acme");
    let standing = granted(reserve(&quotas, &employed)).standing().clone();
    let used: Vec<_> = standing.statuses().map(|it| (it.scope(), it.used())).collect();
    assert_eq!(used, [(Scope::Profile, 1), (Scope::Tenant, 0)]);
}

#[test]
fn a_tenants_id_is_checked_as_a_profiles_is() {
    let quotas = company();
    for (id, length) in [(Vec::new(), 0), (vec![b'x'; 257], 257)] {
        let payer = profile("7").tenant(id);
        let error = now(quotas.reserve(&payer, "remix", 1)).unwrap_err();
        assert!(matches!(error, Error::BadId(bytes) if bytes == length), "{error}");
        assert!(now(quotas.usage(&payer)).is_err());
    }
    spend(&quotas, &profile("7").tenant(vec![b'x'; 256]), 1);
}

/// Each has the other's id for a tenant, and so what is asked for first by one is last by the other.
#[test]
fn payers_whose_scopes_cross_never_wait_for_each_other_in_a_circle() {
    const ROUNDS: u64 = 9_000;
    let limits = [
        Limit::new(ROUNDS, Window::Day).max_refunds(ROUNDS),
        Limit::new(ROUNDS, Window::Day).named("company").scope(Scope::Tenant),
    ];
    let plan = Plan::new("free").feature("remix", limits);
    let quotas = Quotas::builder().plan(plan).clock(noon()).build().unwrap();
    let payers = [profile("7").tenant("8"), profile("8").tenant("7")];
    race(2, |number| {
        for round in 0..ROUNDS {
            let reservation = granted(reserve(&quotas, &payers[number]));
            match round % 3 {
                0 => reservation.commit(),
                1 => reservation.release(),
                _ => reservation.refund(),
            }
        }
    });
    for payer in &payers {
        let standing = granted(reserve(&quotas, payer)).standing().clone();
        let counts: Vec<_> = standing.statuses().map(|it| (it.used(), it.held())).collect();
        assert_eq!(counts, [(ROUNDS / 3, 1); 2]);
    }
}

#[tokio::test]
async fn headers_name_what_is_counted() {
    let limits = [
        Limit::new(60, Window::Minute).named("requests").per_request().unit("tokens"),
        Limit::new(1_000, Window::Day).named("tokens").unit("tokens"),
        Limit::new(4, Window::Concurrent).unit("tokens"),
        Limit::new(9, Window::Rolling(std::time::Duration::from_secs(90))),
    ];
    let plan = Plan::new("free").feature("remix", limits);
    let quotas = Quotas::builder().plan(plan).clock(noon()).build().unwrap();
    let layer = QuotaLayer::builder(quotas).feature("remix");
    let layer = layer.profile(|_| Some(Profile::new("7", "free"))).build().unwrap();
    let service = layer.layer(service_fn(empty::<()>));
    let response = service.oneshot(request(Method::GET, "/")).await.unwrap();
    let policy = "\"requests\";q=60;w=60, \"tokens\";q=1000;qu=\"tokens\";w=86400, \
                  \"concurrent\";q=4;qu=\"concurrent-requests\", \"rolling-90s\";q=9;w=90";
    assert_eq!(response.headers()["ratelimit-policy"], policy);
    let state = "\"requests\";r=59;t=60, \"tokens\";r=999;t=43200, \"concurrent\";r=4, \
                 \"rolling-90s\";r=8;t=92";
    assert_eq!(response.headers()["ratelimit"], state);
}

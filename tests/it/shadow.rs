//! Limits that count and never deny, and what is told of them.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Limit, Mode, Plan, QuotaHandle, Quotas, Rule, Window, WouldDeny};

use crate::support::{denied, get, granted, metered, noon, profile, reserve, spend};

/// Two a day, and one a minute that is only tried out.
fn tried_out() -> Quotas {
    let limits = [Limit::new(2, Window::Day), Limit::new(1, Window::Minute).shadow()];
    let plan = Plan::new("free").feature("remix", limits);
    Quotas::builder().plan(plan).clock(noon()).build().unwrap()
}

fn told(response: &Response<impl Sized>) -> Option<Vec<String>> {
    let would_deny = response.extensions().get::<WouldDeny>()?;
    assert_eq!(would_deny.feature(), "remix");
    Some(would_deny.limits().map(|status| status.limit().to_owned()).collect())
}

#[test]
fn a_shadow_limit_counts_and_never_denies() {
    let quotas = tried_out();
    spend(&quotas, &profile("7"), 1);
    let second = granted(reserve(&quotas, &profile("7")));
    let counts: Vec<_> =
        second.standing().statuses().map(|it| (it.is_shadow(), it.used(), it.held())).collect();
    assert_eq!(counts, [(false, 1, 1), (true, 1, 1)]);
    let over: Vec<_> = second.standing().exceeded().map(|it| it.limit().to_owned()).collect();
    assert_eq!(over, ["minute"]);
    assert_eq!(second.standing().remaining(), Some(0));
    let denial = denied(reserve(&quotas, &profile("7")));
    let violated: Vec<_> = denial.violated().map(|it| it.limit().to_owned()).collect();
    assert_eq!(violated, ["day"], "a shadow limit denies nothing");
    assert_eq!(denial.retry_after(), Some(12 * 60 * 60));
}

#[test]
fn what_is_more_than_can_be_counted_passes_where_no_limit_denies() {
    let plan = Plan::new("free").feature("remix", [Limit::new(1, Window::Day).shadow()]);
    let quotas = Quotas::builder().plan(plan).clock(noon()).build().unwrap();
    let reservation = crate::support::reserve_units(&quotas, &profile("7"), u64::MAX);
    assert_eq!(granted(reservation).standing().exceeded().count(), 1);
}

/// Only requests are limited, and tokens are looked at: as many as nobody can count are no reason to
/// deny what comes next.
#[test]
fn a_shadow_that_is_full_to_the_brim_denies_nobody() {
    let limits = [
        Limit::new(3, Window::Day).named("requests").per_request(),
        Limit::new(10, Window::Day).named("tokens").shadow(),
    ];
    let plan = Plan::new("free").feature("remix", limits);
    let quotas = Quotas::builder().plan(plan).clock(noon()).build().unwrap();
    let _first = granted(crate::support::reserve_units(&quotas, &profile("7"), u64::MAX));
    let second = granted(reserve(&quotas, &profile("7")));
    assert_eq!(second.standing().exceeded().count(), 1);
}

#[tokio::test]
async fn what_a_handler_reserves_is_told_too_and_what_asks_for_nothing_is_not() {
    let quotas = tried_out();
    spend(&quotas, &profile("7"), 1);
    for (units, expected) in [(0, None), (1, Some(vec!["minute".to_owned()]))] {
        let inner = service_fn(async |request: Request<()>| {
            let quota: &QuotaHandle = request.extensions().get().unwrap();
            quota.reserve(units).await.unwrap();
            Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
        });
        let rule = Rule::new("remix").reserve_in_handler();
        let layer = metered(&quotas).feature(rule).build().unwrap();
        let response = layer.layer(inner).oneshot(get()).await.unwrap();
        assert_eq!(told(&response), expected, "{units} units");
    }
}

#[tokio::test]
async fn the_response_tells_what_would_have_denied_it_and_its_headers_do_not() {
    let quotas = tried_out();
    let inner = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
    });
    let mut service = metered(&quotas).build().unwrap().layer(inner);
    let first = service.ready().await.unwrap().oneshot(get()).await.unwrap();
    assert_eq!(told(&first), None);
    assert_eq!(first.headers()["ratelimit-policy"], "\"day\";q=2;w=86400");
    let second = service.ready().await.unwrap().oneshot(get()).await.unwrap();
    assert_eq!(told(&second), Some(vec!["minute".to_owned()]));
    assert_eq!(second.headers()["ratelimit"], "\"day\";r=0;t=43200");
    let third = service.oneshot(get()).await.unwrap();
    assert_eq!((third.status(), told(&third)), (StatusCode::TOO_MANY_REQUESTS, None));
}

#[tokio::test]
async fn an_engine_in_shadow_mode_tells_it_of_every_limit() {
    let quotas = tried_out();
    quotas.set_mode(Mode::Shadow);
    spend(&quotas, &profile("7"), 2);
    let inner = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
    });
    let service = metered(&quotas).build().unwrap().layer(inner);
    let response = service.oneshot(get()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(told(&response), Some(vec!["day".to_owned(), "minute".to_owned()]));
}

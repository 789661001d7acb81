//! A handler that holds more as it goes, and one that only has an estimate.

use std::convert::Infallible;
use std::future;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, StreamBody};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    Check, HandleError, Limit, ManualClock, Plan, QuotaHandle, QuotaLayer, Quotas, Rule,
    Settlement, Window,
};

use crate::support::{DAY, get, metered, noon, now, payer};

/// Ten requests and 1,000 tokens a day.
fn chat(clock: &ManualClock) -> Quotas {
    let limits = [
        Limit::new(10, Window::Day).named("requests").per_request(),
        Limit::new(1_000, Window::Day).named("tokens").unit("tokens"),
    ];
    let plan = Plan::new("free").feature("remix", limits);
    Quotas::builder().plan(plan).clock(clock.clone()).build().unwrap()
}

fn layer(quotas: &Quotas) -> QuotaLayer {
    metered(quotas).feature(Rule::new("remix").units(100).hold_more_in_handler()).build().unwrap()
}

/// What is used and held, of requests and of tokens.
fn counts(quotas: &Quotas) -> [(u64, u64); 2] {
    let usage = now(quotas.usage(&payer())).unwrap();
    let each = usage.feature("remix").unwrap().statuses().map(|it| (it.used(), it.held()));
    each.collect::<Vec<_>>().try_into().unwrap()
}

/// Generates as long as it may, 100 tokens at a time, and ends politely.
async fn generate(
    request: Request<()>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible> + Unpin>, Infallible> {
    let quota: QuotaHandle = request.extensions().get().cloned().unwrap();
    let frames = stream::unfold((quota, true), async |(quota, goes_on)| {
        if !goes_on {
            return None;
        }
        let goes_on = matches!(quota.hold_more(100).await.unwrap(), Check::Allowed(_));
        let text = if goes_on { "token" } else { "the quota is used up" };
        let frame = Frame::data(Bytes::from(text));
        Some((Ok::<_, Infallible>(frame), (quota, goes_on)))
    });
    Ok(Response::new(StreamBody::new(frames.boxed())))
}

#[tokio::test]
async fn a_stream_holds_more_as_it_goes_and_ends_politely() {
    let quotas = chat(&noon());
    let service = layer(&quotas).layer(service_fn(generate));
    let mut body = service.clone().oneshot(get()).await.unwrap().into_body();
    assert_eq!(counts(&quotas), [(0, 1), (0, 100)]);
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    assert_eq!(counts(&quotas), [(0, 1), (0, 300)], "one request, and what it holds");
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"the quota is used up"));
    assert_eq!(counts(&quotas), [(1, 0), (1_000, 0)]);
    let denied = service.oneshot(get()).await.unwrap();
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_is_charged_is_charged_instead_of_all_that_is_held() {
    let quotas = chat(&noon());
    for (word, tokens) in [(Some(250), 250), (Some(0), 250), (None, 450)] {
        let inner = service_fn(async |request: Request<()>| {
            let quota: &QuotaHandle = request.extensions().get().unwrap();
            assert!(matches!(quota.hold_more(100).await, Ok(Check::Allowed(_))));
            if let Some(units) = word {
                quota.charge(units).unwrap();
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        layer(&quotas).layer(inner).oneshot(get()).await.unwrap();
        assert_eq!(counts(&quotas)[1], (tokens, 0), "after {word:?}");
    }
    assert_eq!(counts(&quotas)[0], (3, 0), "what took no tokens was a request all the same");
}

/// What is held beside it is given back in either case.
#[tokio::test]
async fn what_took_nothing_was_a_request_and_what_is_released_was_none() {
    type Say = fn(&QuotaHandle) -> Result<(), HandleError>;
    let says: [(Say, u64); 4] = [
        (|quota| quota.charge(0), 1),
        (QuotaHandle::release, 0),
        (|quota| quota.release().and_then(|()| quota.charge(0)), 1),
        (|quota| quota.charge(0).and_then(|()| quota.release()), 0),
    ];
    for (say, requests) in says {
        let quotas = chat(&noon());
        let inner = service_fn(async |request: Request<()>| {
            let quota: &QuotaHandle = request.extensions().get().unwrap();
            quota.hold_more(100).await.unwrap();
            say(quota).unwrap();
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        layer(&quotas).layer(inner).oneshot(get()).await.unwrap();
        assert_eq!(counts(&quotas), [(requests, 0), (0, 0)]);
    }
}

#[tokio::test]
async fn a_policy_says_which_of_the_two_it_was() {
    for (settlement, requests) in [(Settlement::Charge(0), 1), (Settlement::Release, 0)] {
        let quotas = chat(&noon());
        let layer = metered(&quotas).outcome_policy(move |_| settlement).build().unwrap();
        let inner =
            async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()));
        let response = layer.layer(service_fn(inner)).oneshot(get()).await.unwrap();
        let told = response.headers()["ratelimit"].to_str().unwrap();
        let left = format!("\"requests\";r={};", 10 - requests);
        assert!(told.starts_with(&left), "{told}");
        assert_eq!(counts(&quotas), [(requests, 0), (0, 0)], "{settlement:?}");
    }
}

#[tokio::test]
async fn what_fails_gives_all_of_it_back() {
    let quotas = chat(&noon());
    let inner = service_fn(async |request: Request<()>| {
        let quota: &QuotaHandle = request.extensions().get().unwrap();
        quota.hold_more(300).await.unwrap();
        let response = Response::builder().status(503).body(Empty::<Bytes>::new());
        Ok::<_, Infallible>(response.unwrap())
    });
    layer(&quotas).layer(inner).oneshot(get()).await.unwrap();
    assert_eq!(counts(&quotas), [(0, 0), (0, 0)]);
}

#[tokio::test]
async fn what_is_held_after_midnight_is_the_next_days() {
    let clock = noon();
    let quotas = chat(&clock);
    let mut body =
        layer(&quotas).layer(service_fn(generate)).oneshot(get()).await.unwrap().into_body();
    clock.advance(DAY);
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(counts(&quotas), [(0, 0), (200, 0)]);
}

#[tokio::test]
async fn there_is_nothing_to_extend_where_nothing_is_held_or_the_rule_does_not_say_so() {
    for rule in [Rule::new("remix"), Rule::new("remix").reserve_in_handler()] {
        let quotas = chat(&noon());
        let inner = service_fn(async |request: Request<()>| {
            let quota: &QuotaHandle = request.extensions().get().unwrap();
            let more = quota.hold_more(1).await;
            assert!(matches!(more, Err(HandleError::NothingToExtend)), "{more:?}");
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let layer = metered(&quotas).feature(rule).build().unwrap();
        layer.layer(inner).oneshot(get()).await.unwrap();
    }
}

#[tokio::test]
async fn once_the_request_has_ended_nothing_more_is_held() {
    let quotas = chat(&noon());
    let (send, receive) = std::sync::mpsc::channel();
    let inner = service_fn(async |request: Request<()>| {
        send.send(request.extensions().get::<QuotaHandle>().cloned().unwrap()).unwrap();
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    layer(&quotas).layer(inner).oneshot(get()).await.unwrap();
    let late = receive.recv().unwrap();
    assert!(matches!(late.hold_more(1).await, Err(HandleError::Settled)));
    assert_eq!(counts(&quotas), [(1, 0), (100, 0)]);
}

#[tokio::test]
async fn an_estimate_holds_no_more_than_could_ever_be_held() {
    let quotas = chat(&noon());
    let rule = Rule::new("remix")
        .estimate(300, |head| head.headers.get("x-max-tokens")?.to_str().ok()?.parse().ok());
    let layer = metered(&quotas).feature(rule).build().unwrap();
    for (asked, held) in [(None, 300), (Some("40"), 40), (Some("1000000"), 1_000)] {
        let inner = service_fn(|request: Request<()>| {
            assert_eq!(counts(&quotas), [(0, 1), (0, held)]);
            request.extensions().get::<QuotaHandle>().unwrap().release().unwrap();
            future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        });
        let mut request = get();
        if let Some(asked) = asked {
            request.headers_mut().insert("x-max-tokens", asked.parse().unwrap());
        }
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{asked:?}");
    }
}

#[tokio::test]
async fn an_estimate_of_a_feature_that_is_not_in_the_plan_is_denied() {
    let free = Plan::new("free").feature("other", [Limit::new(1, Window::Day)]);
    let pro = Plan::new("pro").feature("remix", [Limit::new(1, Window::Day)]);
    let quotas = Quotas::builder().plan(free).plan(pro).clock(noon()).build().unwrap();
    let decision = now(quotas.reserve_about(&payer(), "remix", 50)).unwrap();
    let denial = crate::support::denied(decision);
    assert_eq!(denial.retry_after(), None);
}

#[tokio::test]
async fn an_estimate_of_nothing_is_not_free() {
    let quotas = chat(&noon());
    for _ in 0..2 {
        let decision = now(quotas.reserve_about(&payer(), "remix", 0)).unwrap();
        crate::support::granted(decision).commit_units(500);
    }
    assert_eq!(counts(&quotas), [(2, 0), (1_000, 0)]);
    let denial = crate::support::denied(now(quotas.reserve_about(&payer(), "remix", 0)).unwrap());
    assert_eq!(denial.units(), 1);
}

#[tokio::test]
async fn a_handler_may_reserve_by_an_estimate_too() {
    let quotas = chat(&noon());
    let inner = service_fn(async |request: Request<()>| {
        let quota: &QuotaHandle = request.extensions().get().unwrap();
        assert!(matches!(quota.reserve_about(1_000_000).await, Ok(Check::Allowed(_))));
        quota.charge(812).unwrap();
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let rule = Rule::new("remix").reserve_in_handler();
    metered(&quotas).feature(rule).build().unwrap().layer(inner).oneshot(get()).await.unwrap();
    assert_eq!(counts(&quotas), [(1, 0), (812, 0)]);
}

//! The rate limit headers, read back by a parser of structured fields.

mod older_dialects;
mod one_reading;

use std::convert::Infallible;
use std::future;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use sfv::{BareItem, List, ListEntry, Parser};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Limit, MAX_UNITS, ManualClock, Mode, QuotaHandle, QuotaLayer, Rule, Window};

use crate::support::{at, daily, get, metered, noon, payer, remix, spend};

type Item = (String, Vec<(String, i64)>);

/// The items of a list of strings, with their parameters, which are all integers. Lines of a list
/// are joined, as RFC 9651 wants it.
fn list(headers: &HeaderMap, name: &str) -> Vec<Item> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
    let list: List = Parser::new(&lines.join(", ")).parse().unwrap();
    let item = |entry| {
        let ListEntry::Item(item) = entry else {
            panic!("an inner list");
        };
        let BareItem::String(limit) = item.bare_item else {
            panic!("{:?} is no string", item.bare_item);
        };
        let parameter = |(key, value): (sfv::Key, BareItem)| match value {
            BareItem::Integer(value) => (key.as_str().to_owned(), value.into()),
            other => panic!("{other:?} is no integer"),
        };
        let parameters = item.params.into_iter().map(parameter).collect();
        (limit.as_str().to_owned(), parameters)
    };
    list.into_iter().map(item).collect()
}

/// An item, as [`list`] gives it.
fn item(limit: &str, parameters: &[(&str, i64)]) -> Item {
    let parameters = parameters.iter();
    let parameters = parameters.map(|(key, value)| ((*key).to_owned(), *value));
    (limit.to_owned(), parameters.collect())
}

/// The headers of a response to a request, where the inner service answers with this status and
/// a body that is still to come, and these headers.
async fn headers_beside(layer: &QuotaLayer, status: u16, own: &[(&str, &str)]) -> HeaderMap {
    let mut response = Response::builder().status(status);
    for (name, value) in own {
        response = response.header(*name, *value);
    }
    let response = response.body(Full::<Bytes>::from("body")).unwrap();
    let inner = service_fn(move |_| future::ready(Ok::<_, Infallible>(response.clone())));
    let response = layer.layer(inner).oneshot(get()).await.unwrap();
    response.headers().clone()
}

async fn headers(layer: &QuotaLayer) -> HeaderMap {
    headers_beside(layer, 200, &[]).await
}

/// The policy and the state that a first request is told, at this moment, of this limit.
async fn told(moment: &str, limit: Limit) -> (Vec<Item>, Vec<Item>) {
    let clock = ManualClock::at(at(moment));
    let quotas = remix(&clock, [limit]);
    let headers = headers(&metered(&quotas).build().unwrap()).await;
    (list(&headers, "ratelimit-policy"), list(&headers, "ratelimit"))
}

#[tokio::test]
async fn a_response_says_the_policy_and_what_is_left_of_it() {
    let (policy, state) = told("2026-11-24T12:00:00Z", Limit::new(5, Window::Day)).await;
    assert_eq!(policy, [item("day", &[("q", 5), ("w", 86_400)])]);
    assert_eq!(state, [item("day", &[("r", 4), ("t", 43_200)])]);
}

#[tokio::test]
async fn a_month_is_as_long_as_it_is() {
    for (moment, days, left) in [
        ("2026-11-30T00:00:00Z", 30, 1),
        ("2026-12-01T00:00:00Z", 31, 31),
        ("2027-02-01T00:00:00Z", 28, 28),
        ("2028-02-27T00:00:00Z", 29, 3),
    ] {
        let (policy, state) = told(moment, Limit::new(5, Window::Month)).await;
        assert_eq!(policy, [item("month", &[("q", 5), ("w", days * 86_400)])]);
        assert_eq!(state, [item("month", &[("r", 4), ("t", left * 86_400)])]);
    }
}

#[tokio::test]
async fn a_lifetime_has_no_length_and_no_end() {
    let (policy, state) = told("2026-11-24T12:00:00Z", Limit::new(5, Window::Lifetime)).await;
    assert_eq!(policy, [item("lifetime", &[("q", 5)])]);
    assert_eq!(state, [item("lifetime", &[("r", 4)])]);
}

/// A client that waits for as long as it is told must not come back early.
#[tokio::test]
async fn a_part_of_a_second_is_a_second() {
    let limit = Limit::new(5, Window::Fixed(Duration::from_millis(1_500)));
    let (policy, state) = told("1970-01-01T00:00:00.001Z", limit).await;
    assert_eq!(policy, [item("1500ms", &[("q", 5), ("w", 2)])]);
    assert_eq!(state, [item("1500ms", &[("r", 4), ("t", 2)])]);
    let (_, state) = told("2026-11-24T23:59:59.999Z", Limit::new(5, Window::Day)).await;
    assert_eq!(state, [item("day", &[("r", 4), ("t", 1)])]);
}

#[tokio::test]
async fn each_limit_is_told_in_the_plan_s_order() {
    let limits = [Limit::new(100, Window::Month), Limit::new(3, Window::Minute).named("burst")];
    let quotas = remix(&noon(), limits);
    let headers = headers(&metered(&quotas).build().unwrap()).await;
    let policy =
        [item("month", &[("q", 100), ("w", 30 * 86_400)]), item("burst", &[("q", 3), ("w", 60)])];
    assert_eq!(list(&headers, "ratelimit-policy"), policy);
    let state = [
        item("month", &[("r", 99), ("t", 6 * 86_400 + 43_200)]),
        item("burst", &[("r", 2), ("t", 60)]),
    ];
    assert_eq!(list(&headers, "ratelimit"), state);
}

#[tokio::test]
async fn the_largest_amount_is_still_an_integer() {
    let limit = Limit::new(MAX_UNITS, Window::Day);
    let (policy, state) = told("2026-11-24T12:00:00Z", limit).await;
    let q = 999_999_999_999_999;
    assert_eq!(policy, [item("day", &[("q", q), ("w", 86_400)])]);
    assert_eq!(state, [item("day", &[("r", q - 1), ("t", 43_200)])]);
}

fn left(headers: &HeaderMap) -> i64 {
    let (_, parameters) = &list(headers, "ratelimit")[0];
    let (key, left) = &parameters[0];
    assert_eq!(key, "r");
    *left
}

#[tokio::test]
async fn what_is_left_is_less_the_request_s_own_hold_but_for_one_given_back() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).build().unwrap();
    assert_eq!(left(&headers_beside(&layer, 503, &[]).await), 5);
    assert_eq!(left(&headers_beside(&layer, 200, &[]).await), 4);
    assert_eq!(left(&headers_beside(&layer, 404, &[]).await), 4);
    assert_eq!(left(&headers_beside(&layer, 204, &[]).await), 3);
}

/// The handler's word is known where the request is settled with its headers.
#[tokio::test]
async fn what_is_left_is_less_what_the_handler_charged() {
    let quotas = daily(&noon(), 5);
    let inner = service_fn(async |request: Request<()>| {
        let quota: &QuotaHandle = request.extensions().get().unwrap();
        quota.charge(3).unwrap();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = metered(&quotas).build().unwrap().layer(inner);
    let response = service.oneshot(get()).await.unwrap();
    assert_eq!(left(response.headers()), 2);
}

#[tokio::test]
async fn what_is_left_is_never_below_zero() {
    let quotas = daily(&noon(), 5);
    quotas.set_mode(Mode::Shadow);
    spend(&quotas, &payer(), 70);
    assert_eq!(left(&headers(&metered(&quotas).build().unwrap()).await), 0);
}

/// Nobody waits for less than is said, neither on the header they obey nor on the other.
#[tokio::test]
async fn a_denial_is_not_to_be_retried_before_the_reset() {
    for (moment, seconds) in [
        ("2026-11-24T12:00:00Z", 43_200),
        ("2026-11-24T12:00:00.001Z", 43_200),
        ("2026-11-24T11:59:59.999Z", 43_201),
        ("2026-11-24T23:59:59Z", 1),
        ("2026-11-24T23:59:59.999Z", 1),
    ] {
        let clock = ManualClock::at(at(moment));
        let quotas = daily(&clock, 1);
        spend(&quotas, &payer(), 1);
        let denied = headers(&metered(&quotas).build().unwrap()).await;
        assert_eq!(denied["retry-after"], seconds.to_string());
        let state = [item("day", &[("r", 0), ("t", seconds)])];
        assert_eq!(list(&denied, "ratelimit"), state);
        let policy = [item("day", &[("q", 1), ("w", 86_400)])];
        assert_eq!(list(&denied, "ratelimit-policy"), policy);

        clock.advance(Duration::from_secs(seconds.unsigned_abs()));
        let granted = headers(&metered(&quotas).build().unwrap()).await;
        assert!(!granted.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn a_denial_by_one_limit_waits_for_that_limit_and_by_two_for_the_later() {
    let limits =
        [Limit::new(10, Window::Day), Limit::new(2, Window::Minute), Limit::new(2, Window::Hour)];
    let quotas = remix(&noon(), limits);
    spend(&quotas, &payer(), 2);
    let layer = metered(&quotas).build().unwrap();
    let denied = headers(&layer).await;
    assert_eq!(denied["retry-after"], "3600");
    let state = [
        item("day", &[("r", 8), ("t", 43_200)]),
        item("minute", &[("r", 0), ("t", 60)]),
        item("hour", &[("r", 0), ("t", 3_600)]),
    ];
    assert_eq!(list(&denied, "ratelimit"), state);
}

#[tokio::test]
async fn they_are_added_to_those_of_another_layer_or_service() {
    let quotas = daily(&noon(), 5);
    let layer = metered(&quotas).build().unwrap();
    let own =
        [("ratelimit-policy", "\"upstream\";q=7;w=60"), ("ratelimit", "\"upstream\";r=6;t=30")];
    let headers = headers_beside(&layer, 200, &own).await;
    let policy =
        [item("upstream", &[("q", 7), ("w", 60)]), item("day", &[("q", 5), ("w", 86_400)])];
    assert_eq!(list(&headers, "ratelimit-policy"), policy);
    let state = [item("upstream", &[("r", 6), ("t", 30)]), item("day", &[("r", 4), ("t", 43_200)])];
    assert_eq!(list(&headers, "ratelimit"), state);
}

#[tokio::test]
async fn a_forwarded_denial_says_it_on_a_success_too() {
    let quotas = daily(&noon(), 1);
    let rule = Rule::new("remix").forward_denials();
    let layer = metered(&quotas).feature(rule).build().unwrap();
    spend(&quotas, &payer(), 1);
    let headers = headers(&layer).await;
    assert_eq!(left(&headers), 0);
    assert!(!headers.contains_key("retry-after"));
}

#[tokio::test]
async fn nothing_is_said_where_nothing_is_counted() {
    let quotas = daily(&noon(), 5);
    let owner = metered(&quotas).profile(|_| Some(payer().unlimited(true)));
    let owner = headers(&owner.build().unwrap()).await;
    quotas.set_mode(Mode::Unmetered);
    let unmetered = headers(&metered(&quotas).build().unwrap()).await;
    assert_eq!((owner.len(), unmetered.len()), (0, 0));
}

//! The dialects before draft 11: of a single limit, and told once.

use http::HeaderMap;
use tower_quota::{Headers, Limit, Mode, QuotaLayer, Quotas, Reset, Window};

use super::{headers, headers_beside};
use crate::support::{daily, metered, noon, payer, remix, spend};

const DIALECTS: [Headers; 4] = [
    Headers::Draft7,
    Headers::Draft6,
    Headers::XRateLimit(Reset::Epoch),
    Headers::XRateLimit(Reset::Delta),
];

fn speaking(dialect: Headers, quotas: &Quotas) -> QuotaLayer {
    metered(quotas).headers(dialect).build().unwrap()
}

/// All headers that are there, in alphabetical order.
fn all(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let each = headers.iter();
    let mut all: Vec<_> =
        each.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    all.sort_unstable();
    all
}

/// What this dialect says at noon, of 5 units a day and 3 a minute after one was used.
async fn said(dialect: Headers) -> HeaderMap {
    let limits = [Limit::new(5, Window::Day), Limit::new(3, Window::Minute)];
    let quotas = remix(&noon(), limits);
    headers(&speaking(dialect, &quotas)).await
}

#[tokio::test]
async fn draft_7_tells_the_tightest_limit_in_one_header() {
    let expected = [
        ("ratelimit", "limit=3, remaining=2, reset=60"),
        ("ratelimit-policy", "5;w=86400, 3;w=60"),
    ];
    assert_eq!(all(&said(Headers::Draft7).await), expected);
}

#[tokio::test]
async fn draft_6_tells_it_in_three() {
    let expected =
        [("ratelimit-limit", "3"), ("ratelimit-remaining", "2"), ("ratelimit-reset", "60")];
    assert_eq!(all(&said(Headers::Draft6).await), expected);
}

#[tokio::test]
async fn x_rate_limit_tells_when_or_in_how_many_seconds() {
    let expected =
        [("x-ratelimit-limit", "3"), ("x-ratelimit-remaining", "2"), ("x-ratelimit-reset", "60")];
    assert_eq!(all(&said(Headers::XRateLimit(Reset::Delta)).await), expected);
    // One minute after noon.
    let expected = [expected[0], expected[1], ("x-ratelimit-reset", "1795521660")];
    assert_eq!(all(&said(Headers::XRateLimit(Reset::Epoch)).await), expected);
}

#[tokio::test]
async fn none_tells_nothing_but_when_to_retry() {
    assert_eq!(all(&said(Headers::None).await), []);
    let quotas = daily(&noon(), 1);
    spend(&quotas, &payer(), 1);
    let denied = headers(&speaking(Headers::None, &quotas)).await;
    assert_eq!(denied["retry-after"], "43200");
    assert!(!denied.contains_key("ratelimit"));
}

#[tokio::test]
async fn the_tightest_limit_is_the_one_that_tripped() {
    let limits = [Limit::new(5, Window::Day), Limit::new(3, Window::Minute)];
    let clock = noon();
    let quotas = remix(&clock, limits);
    spend(&quotas, &payer(), 3);
    clock.advance(std::time::Duration::from_secs(60));
    spend(&quotas, &payer(), 2);
    let denied = headers(&speaking(Headers::Draft6, &quotas)).await;
    assert_eq!(denied["ratelimit-limit"], "5");
    assert_eq!(denied["ratelimit-remaining"], "0");
    assert_eq!(denied["ratelimit-reset"], denied["retry-after"]);
}

#[tokio::test]
async fn a_lifetime_never_resets() {
    for dialect in DIALECTS {
        let quotas = remix(&noon(), [Limit::new(5, Window::Lifetime)]);
        let headers = headers(&speaking(dialect, &quotas)).await;
        let all = all(&headers);
        let whole = all.iter().map(|(name, value)| format!("{name}: {value}"));
        let whole: Vec<_> = whole.collect();
        assert!(!whole.join("\n").contains("reset"), "{whole:?}");
        // Draft 7 cannot say a limit without a reset.
        let said = whole.join("\n").contains("remaining");
        assert_eq!(said, dialect != Headers::Draft7, "{whole:?}");
    }
}

/// Two values of a header that is no list are none that a client can use.
#[tokio::test]
async fn what_the_service_has_set_stays() {
    for dialect in DIALECTS {
        let quotas = daily(&noon(), 5);
        let layer = speaking(dialect, &quotas);
        let ours = headers(&layer).await;
        let own: Vec<_> = ours.keys().map(|name| (name.as_str(), "7")).collect();
        let headers = headers_beside(&layer, 200, &own).await;
        let mut own = own;
        own.sort_unstable();
        assert_eq!(all(&headers), own);
    }
}

#[tokio::test]
async fn nothing_is_said_where_nothing_is_counted() {
    for dialect in DIALECTS {
        let quotas = daily(&noon(), 5);
        quotas.set_mode(Mode::Unmetered);
        assert_eq!(all(&headers(&speaking(dialect, &quotas)).await), []);
    }
}

/// A reset of somebody else's limit would be taken for this one's.
#[tokio::test]
async fn one_header_that_is_set_keeps_all_of_ours_away() {
    for dialect in DIALECTS {
        let layer = speaking(dialect, &daily(&noon(), 5));
        let names: Vec<_> = headers(&layer).await.keys().cloned().collect();
        for name in names {
            let own = [(name.as_str(), "7")];
            let headers = headers_beside(&layer, 200, &own).await;
            assert_eq!(all(&headers), own);
        }
    }
}

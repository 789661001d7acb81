//! A denial that is answered in one's own words.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;
use tower_quota::Denial;

use super::{denied_by, used_up};
use crate::support::{self, metered, text};

#[tokio::test]
async fn a_closure_may_build_the_answer() {
    let answer = |denial: &Denial| {
        let status = denial.status().unwrap();
        let body = json!({
            "error": "quota_exceeded",
            "message": format!("Daily limit reached for {}", denial.feature()),
            "remaining": status.remaining(),
            "limit": status.amount(),
            "used": status.used(),
            "resets_at": denial.resets_at().unwrap().to_rfc3339(),
        });
        let response = Response::builder().status(StatusCode::PAYMENT_REQUIRED);
        response.body(body.to_string()).unwrap()
    };
    let layer = metered(&used_up()).denial(answer).build().unwrap();
    let response = denied_by(layer).await;
    assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
    let body = json!({
        "error": "quota_exceeded",
        "message": "Daily limit reached for remix",
        "remaining": 0,
        "limit": 1,
        "used": 1,
        "resets_at": "2026-11-25T00:00:00+00:00",
    });
    assert_eq!(support::json(response).await, body);
}

#[tokio::test]
async fn its_answer_gets_the_headers_that_it_lacks() {
    let layer = metered(&used_up()).denial(|_| Response::new("no"));
    let response = denied_by(layer.build().unwrap()).await;
    let headers = response.headers();
    assert_eq!(headers["retry-after"], "43200");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["ratelimit"], "\"day\";r=0;t=43200");
    assert_eq!(headers["ratelimit-policy"], "\"day\";q=1;w=86400");
    assert_eq!(text(response).await, "no");
}

#[tokio::test]
async fn the_headers_that_it_sets_stay() {
    let answer = |_: &Denial| {
        let response = Response::builder()
            .header("retry-after", "60")
            .header("cache-control", "private")
            .header("x-reason", "quota");
        response.body(Bytes::from_static(b"no")).unwrap()
    };
    let layer = metered(&used_up()).denial(answer).build().unwrap();
    let response = denied_by(layer).await;
    for (name, value) in
        [("retry-after", "60"), ("cache-control", "private"), ("x-reason", "quota")]
    {
        let values = response.headers().get_all(name).iter();
        assert_eq!(values.collect::<Vec<_>>(), [value], "{name}");
    }
}

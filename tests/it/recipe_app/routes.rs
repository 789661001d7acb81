//! The routes: which feature each uses, who pays, and what the answers look like.

use chrono::{DateTime, NaiveTime, Utc};
use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{App, DISCOVER, QUOTAS, REMIX, ROUTES};
use crate::support::programs::{Reply, to};

#[tokio::test]
async fn each_route_uses_its_own_feature() {
    let app = App::start().await;
    for (index, (feature, method, path)) in ROUTES.into_iter().enumerate() {
        let reply = app.send_as("7", method, path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert_eq!(reply.json()["feature"], feature);
        assert_eq!(reply.json()["cached"], false);
        let quotas = app.quotas().await;
        for (other, (feature, ..)) in ROUTES.into_iter().enumerate() {
            assert_eq!(quotas["usage"][feature], u64::from(other <= index), "{feature} at {path}");
        }
    }
}

#[tokio::test]
async fn the_usage_has_its_five_parts_for_six_features() {
    let app = App::start().await;
    let reply = app.get(QUOTAS).await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    let quotas = reply.json();
    let keys: Vec<&str> = quotas.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["held", "limits", "resets_at", "unlimited", "usage"]);
    let zeros: Value =
        ROUTES.map(|(feature, ..)| (feature.to_owned(), json!(0))).into_iter().collect();
    assert_eq!(quotas["usage"], zeros);
    assert_eq!(quotas["held"], zeros);
    assert_eq!(quotas["limits"].as_object().unwrap().len(), 6);
    assert_eq!(quotas["unlimited"], false);
    assert!(is_midnight(&quotas["resets_at"]));
}

fn is_midnight(instant: &Value) -> bool {
    let instant: DateTime<Utc> = instant.as_str().unwrap().parse().unwrap();
    instant.time() == NaiveTime::MIN
}

#[tokio::test]
async fn a_denial_says_what_is_used_up_and_until_when() {
    let app = App::start().await;
    let granted = app.post(REMIX).await;
    assert_eq!(granted.header("ratelimit-policy"), "\"day\";q=1;w=86400");
    assert!(granted.header("ratelimit").starts_with("\"day\";r=0;t="));

    let denied = app.post(REMIX).await;
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(denied.header("content-type"), "application/problem+json");
    assert_eq!(denied.header("cache-control"), "no-store");
    assert_eq!(denied.header("ratelimit-policy"), "\"day\";q=1;w=86400");
    assert!(denied.header("ratelimit").starts_with("\"day\";r=0;t="));
    assert!(denied.header("retry-after").parse::<u64>().unwrap() >= 1);
    let problem = denied.json();
    let told = ["feature", "limit", "used", "held", "remaining"].map(|key| problem[key].clone());
    assert_eq!(told, [json!("remix"), json!(1), json!(1), json!(0), json!(0)]);
    assert!(is_midnight(&problem["resets_at"]));
}

#[tokio::test]
async fn who_does_not_say_who_pays_is_refused() {
    let app = App::start().await;
    let over_long = "0".repeat(300) + "7";
    let nobody = ["", "seven", "-7", "+7", "7.0", "7 7", "18446744073709551616", &over_long];
    let asked = [(Method::POST, REMIX), (Method::GET, DISCOVER), (Method::GET, QUOTAS)];
    for (method, path) in asked {
        let missing = app.0.send(to(method.clone(), path).body(Full::default()).unwrap()).await;
        assert_is_refused(&missing, "no header");
        let both = to(method.clone(), path).header("x-profile-id", "7").header("x-profile-id", "8");
        assert_is_refused(&app.0.send(both.body(Full::default()).unwrap()).await, "two headers");
        for id in nobody {
            assert_is_refused(&app.send_as(id, method.clone(), path).await, id);
        }
    }
    assert_eq!(app.books("remix").await, (0, 0));
    assert_eq!(app.books("discover").await, (0, 0));
}

fn assert_is_refused(reply: &Reply, id: &str) {
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{id:?}");
    assert_eq!(reply.header("content-type"), "application/problem+json", "{id:?}");
    assert_eq!(reply.json()["status"], 401, "{id:?}");
    assert!(!reply.header("www-authenticate").is_empty(), "{id:?}");
}

#[tokio::test]
async fn each_profile_has_its_own_quota_however_its_number_is_written() {
    let app = App::start().await;
    for (id, status) in [
        ("7", StatusCode::OK),
        ("8", StatusCode::OK),
        ("18446744073709551615", StatusCode::OK),
        ("007", StatusCode::TOO_MANY_REQUESTS),
        ("00000000000000000008", StatusCode::TOO_MANY_REQUESTS),
    ] {
        assert_eq!(app.send_as(id, Method::POST, REMIX).await.status, status, "{id}");
    }
}

#[tokio::test]
async fn what_is_no_use_of_the_ai_is_not_charged() {
    let app = App::start().await;
    for (method, path) in [
        (Method::GET, REMIX),
        (Method::OPTIONS, REMIX),
        (Method::POST, DISCOVER),
        (Method::OPTIONS, DISCOVER),
    ] {
        let reply = app.send_as("7", method, path).await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    for path in ["/", "/api/ai/remix/", "/api/ai/toast", "/api/ai/discover/1"] {
        assert_eq!(app.post(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let quotas = app.quotas().await;
    for (feature, ..) in ROUTES {
        assert_eq!(quotas["usage"][feature], 0, "{feature}");
    }
}

#[tokio::test]
async fn a_head_is_charged_as_its_get() {
    let app = App::start().await;
    let head = app.send_as("7", Method::HEAD, DISCOVER).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(app.books("discover").await, (1, 0));
}

#[cfg(feature = "tz")]
#[tokio::test]
async fn days_begin_at_midnight_in_the_members_zone() {
    let app = App::start().await;
    for (zone, hour) in
        [("Asia/Kolkata", "18:30:00"), ("Etc/GMT+3", "03:00:00"), ("Mars", "00:00:00")]
    {
        let request = to(Method::GET, QUOTAS).header("x-profile-id", "7");
        let request = request.header("x-profile-zone", zone).body(Full::default()).unwrap();
        let quotas = app.0.send(request).await.json();
        let resets_at: DateTime<Utc> = quotas["resets_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(resets_at.time().to_string(), hour, "midnight in {zone}");
    }
}

/// Whoever names one zone after the other finishes the day of the first, and gets no other.
#[cfg(feature = "tz")]
#[tokio::test]
async fn hopping_from_zone_to_zone_gives_nothing() {
    let app = App::with(&[("LIMITS", "remix=2")]).await;
    let mut granted = 0;
    for hours in -12..=14 {
        let request = to(Method::POST, REMIX).header("x-profile-id", "7");
        let request = request.header("x-profile-zone", format!("Etc/GMT{:+}", -hours));
        let reply = app.0.send(request.body(Full::default()).unwrap()).await;
        granted += u32::from(reply.status == StatusCode::OK);
    }
    assert_eq!(granted, 2, "remixes of two a day");
}

//! What operators may change, and that nobody else may.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;

use super::{App, QUOTAS, REMIX, TIPS};
use crate::support::programs::{Reply, to};

const TOKEN: (&str, &str) = ("OPERATOR_TOKEN", "secret");
const SET_UNLIMITED: &str = "/api/profiles/7/set-unlimited/";
const DENIED: StatusCode = StatusCode::TOO_MANY_REQUESTS;

impl App {
    pub(super) async fn put_limits(&self, limits: &str) -> Reply {
        self.operate(Method::PUT, QUOTAS, Some("Bearer secret"), limits).await
    }

    pub(super) async fn set_unlimited(&self, body: &str) -> Reply {
        self.operate(Method::POST, SET_UNLIMITED, Some("Bearer secret"), body).await
    }

    async fn operate(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> Reply {
        let mut request = to(method, path);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let body = Full::new(Bytes::from(body.to_owned()));
        self.0.send(request.body(body).unwrap()).await
    }
}

const ROUTES: [(Method, &str, &str); 2] = [
    (Method::PUT, QUOTAS, r#"{"remix":9}"#),
    (Method::POST, SET_UNLIMITED, r#"{"unlimited":true}"#),
];

#[tokio::test]
async fn without_operators_their_routes_are_not_there() {
    for variables in [&[][..], &[("OPERATOR_TOKEN", "")]] {
        let app = App::with(variables).await;
        for authorization in [None, Some("Bearer secret"), Some("Bearer "), Some("Bearer")] {
            for (method, path, body) in ROUTES {
                let reply = app.operate(method, path, authorization, body).await;
                assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path} {authorization:?}");
            }
        }
        assert_nothing_changed(&app).await;
    }
}

#[tokio::test]
async fn a_wrong_or_missing_token_is_refused_and_changes_nothing() {
    let app = App::with(&[TOKEN]).await;
    for authorization in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer secre"),
        Some("Bearer secret2"),
        Some("Bearer Secret"),
        Some("Basic secret"),
        Some("secret"),
    ] {
        for (method, path, body) in ROUTES {
            let reply = app.operate(method, path, authorization, body).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path} {authorization:?}");
            assert!(reply.header("www-authenticate").starts_with("Bearer"), "{path}");
            assert_eq!(reply.header("content-type"), "application/problem+json");
        }
    }
    assert_nothing_changed(&app).await;
}

async fn assert_nothing_changed(app: &App) {
    let quotas = app.quotas().await;
    assert_eq!(quotas["limits"]["remix"], 1);
    assert_eq!(quotas["limits"]["tips"], 2);
    assert_eq!(quotas["unlimited"], false);
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case() {
    let app = App::with(&[TOKEN]).await;
    let reply = app.operate(Method::PUT, QUOTAS, Some("bearer secret"), r#"{"tips":5}"#).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_new_limit_applies_at_once_and_keeps_what_was_used() {
    let app = App::with(&[TOKEN]).await;
    assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
    assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
    assert_eq!(app.post(TIPS).await.status, DENIED);

    let raised = app.put_limits(r#"{"tips":3}"#).await;
    assert_eq!(raised.status, StatusCode::NO_CONTENT);
    assert!(raised.body.is_empty());
    assert_eq!(app.post(TIPS).await.status, StatusCode::OK);
    assert_eq!(app.books("tips").await, (3, 0));
    assert_eq!(app.post(TIPS).await.status, DENIED);

    assert_eq!(app.put_limits(r#"{"tips":1,"remix":0}"#).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.books("tips").await, (3, 0));
    assert_eq!(app.post(TIPS).await.json()["limit"], 1);
    assert_eq!(app.post(REMIX).await.status, DENIED);
}

#[tokio::test]
async fn any_amount_up_to_the_largest_is_taken() {
    let app = App::with(&[TOKEN]).await;
    assert_eq!(app.put_limits("{}").await.status, StatusCode::NO_CONTENT);
    let largest = app.put_limits(r#"{"tips":999999999999999,"remix":0}"#).await;
    assert_eq!(largest.status, StatusCode::NO_CONTENT);
    let limits = &app.quotas().await["limits"];
    assert_eq!(limits["tips"], 999_999_999_999_999_u64);
    assert_eq!(limits["remix"], 0);
}

#[tokio::test]
async fn limits_that_make_no_sense_are_named_and_nothing_changes() {
    let app = App::with(&[TOKEN]).await;
    for (limits, culprit) in [
        (r#"{"remix":9,"toast":1}"#, "toast"),
        (r#"{"remix":9,"Tips":1}"#, "Tips"),
        (r#"{"remix":9,"tips":-1}"#, "tips"),
        (r#"{"remix":9,"tips":1.5}"#, "tips"),
        (r#"{"remix":9,"tips":1e3}"#, "tips"),
        (r#"{"remix":9,"tips":"5"}"#, "tips"),
        (r#"{"remix":9,"tips":null}"#, "tips"),
        (r#"{"remix":9,"tips":true}"#, "tips"),
        (r#"{"remix":9,"tips":[5]}"#, "tips"),
        (r#"{"remix":9,"tips":1000000000000000}"#, "tips"),
        (r#"{"remix":9,"tips":18446744073709551617}"#, "tips"),
        (r#"{"remix":9,"tips":1e300}"#, "tips"),
        (r#"{"remix":9,"":1}"#, "``"),
        (r#"[{"remix":9}]"#, "map"),
        ("9", "map"),
        ("null", "map"),
    ] {
        let reply = app.put_limits(limits).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{limits}");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{limits}");
        let problem = reply.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(culprit), "{limits}: {detail}");
        assert_nothing_changed(&app).await;
    }
}

#[tokio::test]
async fn what_is_no_json_is_a_bad_request_and_nothing_changes() {
    let app = App::with(&[TOKEN]).await;
    for body in ["", "tips=5", "{", r#"{"remix":9"#, r#"{"remix":9,}"#, r#"{"remix":9}{}"#] {
        let reply = app.put_limits(body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{body}");
        assert_nothing_changed(&app).await;
    }
}

#[tokio::test]
async fn an_unlimited_profile_is_neither_denied_nor_counted_until_it_is_told_otherwise() {
    let app = App::with(&[TOKEN]).await;
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    assert_eq!(app.post(REMIX).await.status, DENIED);

    assert_eq!(app.set_unlimited(r#"{"unlimited":true}"#).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    let quotas = app.quotas().await;
    assert_eq!(quotas["unlimited"], true);
    assert_eq!(quotas["limits"]["remix"], 1);
    assert_eq!(quotas["usage"]["remix"], 1);
    assert_eq!(app.send_as("8", Method::GET, QUOTAS).await.json()["unlimited"], false);

    assert_eq!(app.set_unlimited(r#"{"unlimited":false}"#).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.quotas().await["unlimited"], false);
    assert_eq!(app.post(REMIX).await.status, DENIED);
}

/// D11: a request that was counted when it began is settled as it began.
#[tokio::test]
async fn becoming_unlimited_in_mid_flight_leaks_no_unit() {
    let app = App::with(&[TOKEN]).await;
    let (client, response) = app.begin(&format!("{REMIX}?chunks=2&gap_ms=60000")).await;
    assert_eq!(app.set_unlimited(r#"{"unlimited":true}"#).await.status, StatusCode::NO_CONTENT);
    drop(response);
    client.hang_up().await;
    app.wait_for("remix", |used, held| (used, held) == (1, 0)).await;
}

#[tokio::test]
async fn a_bad_request_to_set_unlimited_changes_nothing() {
    let app = App::with(&[TOKEN]).await;
    for (body, status) in [
        ("", StatusCode::BAD_REQUEST),
        ("unlimited", StatusCode::BAD_REQUEST),
        ("{}", StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"unlimited":"true"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"unlimited":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("true", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(app.set_unlimited(body).await.status, status, "{body}");
    }
    let path = "/api/profiles/seven/set-unlimited/";
    let body = r#"{"unlimited":true}"#;
    let nobody = app.operate(Method::POST, path, Some("Bearer secret"), body).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    assert_nothing_changed(&app).await;
}

//! What the app prints, and the variables that it reads.

use std::net::TcpListener;
use std::process::Stdio;

use http::StatusCode;
use serde_json::json;

use super::{App, REMIX, TIPS, post};
use crate::support::programs::{Client, example, parse_curl};

#[tokio::test]
async fn the_first_line_says_where_it_listens() {
    let app = App::start().await;
    assert!(app.0.address().ip().is_loopback());
    assert_ne!(app.0.address().port(), 0);
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_three_commands_show_a_grant_a_denial_and_the_usage() {
    let mut app = App::start().await;
    let commands = [app.0.line().await, app.0.line().await, app.0.line().await];
    let mut replies = Vec::new();
    for command in &commands {
        replies.push(app.0.send(parse_curl(command, &app.0)).await);
    }
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, [200, 429, 200]);
    assert_eq!(replies[2].json()["usage"]["remix"], 1);
}

#[tokio::test]
async fn limits_are_few_by_default() {
    let app = App::start().await;
    let limits = json!({
        "remix": 1, "remix_suggestions": 2, "scale": 2, "tips": 2, "discover": 1, "timer": 3,
    });
    assert_eq!(app.quotas().await["limits"], limits);
}

#[tokio::test]
async fn limits_override_the_defaults() {
    let app = App::with(&[("LIMITS", "remix=50,tips=0,timer=999999999999999")]).await;
    let limits = json!({
        "remix": 50, "remix_suggestions": 2, "scale": 2, "tips": 0, "discover": 1,
        "timer": 999_999_999_999_999_u64,
    });
    assert_eq!(app.quotas().await["limits"], limits);
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    assert_eq!(app.post(TIPS).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn at_home_nothing_is_denied_and_nothing_counted() {
    let app = App::with(&[("AUTH_MODE", "home"), ("LIMITS", "tips=0")]).await;
    for path in [REMIX, REMIX, REMIX, TIPS] {
        assert_eq!(app.post(path).await.status, StatusCode::OK);
    }
    assert_eq!(app.books("remix").await, (0, 0));
    assert_eq!(app.books("tips").await, (0, 0));
}

#[tokio::test]
async fn passkey_is_metered() {
    let app = App::with(&[("AUTH_MODE", "passkey")]).await;
    assert_eq!(app.post(REMIX).await.status, StatusCode::OK);
    assert_eq!(app.post(REMIX).await.status, StatusCode::TOO_MANY_REQUESTS);
}

/// What is said of a store that is not there: that one cannot connect, or that its feature is off.
fn said(has_feature: bool, missing: &'static str) -> &'static str {
    if has_feature { "connect" } else { missing }
}

#[tokio::test]
async fn a_bad_value_is_one_clear_line_and_exit_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let bad = [
        ("LISTEN", "nowhere", "nowhere"),
        ("LISTEN", "127.0.0.1", "127.0.0.1"),
        ("LISTEN", "127.0.0.1:65536", "65536"),
        ("LISTEN", "", "address"),
        ("LISTEN", &taken, &taken),
        ("AUTH_MODE", "Home", "Home"),
        ("AUTH_MODE", "", "passkey"),
        ("LIMITS", "toast=1", "toast"),
        ("LIMITS", "Tips=1", "Tips"),
        ("LIMITS", "tips", "tips"),
        ("LIMITS", "", "feature=units"),
        ("LIMITS", "tips=3,", "feature=units"),
        ("LIMITS", "remix=50;tips=3", "50;tips=3"),
        ("LIMITS", "tips=", "tips="),
        ("LIMITS", "tips=many", "many"),
        ("LIMITS", "tips=-1", "-1"),
        ("LIMITS", "tips=1.5", "1.5"),
        ("LIMITS", "tips=1000000000000000", "1000000000000000"),
        ("LIMITS", "tips=99999999999999999999", "99999999999999999999"),
        ("LIMITS", "tips=1,remix=2,tips=3", "tips"),
        ("LIMITS", "tips=1\nremix=2", "tips"),
        ("STORE", "", "memory"),
        ("STORE", "mongodb://localhost", "memory"),
        ("STORE", "sqlite:/nowhere/quota.db", said(cfg!(feature = "sqlite"), "--features sqlite")),
        (
            "STORE",
            "postgres://u@127.0.0.1:1/a",
            said(cfg!(feature = "postgres"), "--features postgres"),
        ),
        ("STORE", "redis://127.0.0.1:1", said(cfg!(feature = "redis"), "--features redis")),
        ("LEASE", "10", "10s"),
        ("LEASE", "0s", "0s"),
        ("LEASE", "-1s", "-1s"),
        ("LEASE", "ten seconds", "ten seconds"),
    ];
    for (variable, value, culprit) in bad {
        let mut command = example("recipe_app", &[("LISTEN", "127.0.0.1:0")]);
        command.env(variable, value).stderr(Stdio::piped());
        let output = command.output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{variable}={value:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{variable}={value:?}: {said}");
        assert!(said.contains(variable) && said.contains(culprit), "{variable}={value:?}: {said}");
        assert!(output.stdout.is_empty(), "{variable}={value:?}");
    }
}

#[tokio::test]
async fn a_password_is_not_said() {
    for place in ["postgres://user:hunter2@127.0.0.1:1/app", "redis://:hunter2@127.0.0.1:1"] {
        let mut command = example("recipe_app", &[("LISTEN", "127.0.0.1:0"), ("STORE", place)]);
        let output = command.stderr(Stdio::piped()).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(said.contains("STORE") && !said.contains("hunter2"), "{said}");
    }
}

/// Whatever is written to `/dev/full` fails. The address is one that no other test listens on, so
/// its port stays free until the app takes it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_serves_though_its_lines_cannot_be_written() {
    let address = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = example("recipe_app", &[("LISTEN", &address.to_string())]);
    let mut child = command.stdout(full).spawn().unwrap();
    let mut client = loop {
        if let Ok(client) = Client::connect(address).await {
            break client;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        tokio::task::yield_now().await;
    };
    assert_eq!(client.send(post(REMIX, "")).await.unwrap().status(), StatusCode::OK);
}

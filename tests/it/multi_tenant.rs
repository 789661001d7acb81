//! The example `multi_tenant`, as a program over real sockets.

use std::process::Stdio;

use futures::future::join_all;
use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::support::programs::{Program, Reply, example, parse_curl, to};

/// The running app.
struct App(Program);

impl App {
    async fn with(limits: &str) -> Self {
        Self(Program::start("multi_tenant", &[("LIMITS", limits)]).await)
    }

    async fn send(&self, method: Method, path: &str, user: &str, company: &str) -> Reply {
        let request = to(method, path).header("x-user", user).header("x-company", company);
        self.0.send(request.body(Full::default()).unwrap()).await
    }

    async fn ask(&self, user: &str, company: &str) -> Reply {
        self.send(Method::POST, "/ask", user, company).await
    }

    /// Asks what has to be granted.
    async fn is_granted(&self, user: &str, company: &str) {
        let reply = self.ask(user, company).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    }

    /// Asks what has to be denied by these limits alone.
    async fn is_denied(&self, user: &str, company: &str, limits: &[&str]) {
        let reply = self.ask(user, company).await;
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
        let tripped = reply.json();
        let tripped = tripped["tripped"].as_array().unwrap();
        let names: Vec<_> = tripped.iter().map(|it| it["limit"].as_str().unwrap()).collect();
        assert_eq!(names, limits);
    }

    /// What is used of the user's, the company's and the app's limit.
    async fn used(&self, user: &str, company: &str) -> [u64; 3] {
        let reply = self.send(Method::GET, "/usage", user, company).await;
        assert_eq!(reply.status, StatusCode::OK);
        let usage = reply.json();
        let limits = &usage["features"]["ask"];
        ["user", "company", "app"].map(|limit| {
            assert_eq!(limits[limit]["held"], 0);
            limits[limit]["used"].as_u64().unwrap()
        })
    }
}

#[tokio::test]
async fn the_commands_show_a_grant_and_the_usage() {
    let mut app = Program::start("multi_tenant", &[]).await;
    let (ask, usage) = (app.line().await, app.line().await);
    let reply = app.send(parse_curl(&ask, &app)).await;
    assert_eq!(reply.status, StatusCode::OK);
    let left = json!({ "user": 99, "company": 2_499, "app": 9_999 });
    assert_eq!(reply.json()["left"], left);
    assert!(reply.header("ratelimit").starts_with("\"user\";r=99;t="));
    let reply = app.send(parse_curl(&usage, &app)).await;
    assert_eq!(reply.json()["features"]["ask"]["company"]["used"], 1);
}

#[tokio::test]
async fn a_team_has_20_500_and_10_000_by_default() {
    let app = App(Program::start("multi_tenant", &[]).await);
    let reply = app.ask("ada", "initech").await;
    let left = json!({ "user": 19, "company": 499, "app": 9_999 });
    assert_eq!(reply.json()["left"], left);
    for _ in 1..20 {
        app.is_granted("ada", "initech").await;
    }
    app.is_denied("ada", "initech", &["user"]).await;
    assert_eq!(app.used("ada", "initech").await, [20, 20, 20]);
}

#[tokio::test]
async fn the_denial_names_the_limit_that_tripped_and_nothing_else_is_spent() {
    let app = App::with("user=2,company=3,app=5").await;
    app.is_granted("ada", "initech").await;
    app.is_granted("ada", "initech").await;
    for _ in 0..3 {
        app.is_denied("ada", "initech", &["user"]).await;
    }
    assert_eq!(app.used("ada", "initech").await, [2, 2, 2], "the company pays for no denial");
    app.is_granted("bob", "initech").await;
    for _ in 0..3 {
        app.is_denied("bob", "initech", &["company"]).await;
    }
    assert_eq!(app.used("bob", "initech").await, [1, 3, 3]);
    app.is_granted("eve", "hooli").await;
    app.is_granted("joe", "hooli").await;
    for _ in 0..3 {
        app.is_denied("eve", "hooli", &["app"]).await;
    }
    app.is_denied("ada", "initech", &["user", "company", "app"]).await;
    assert_eq!(app.used("eve", "hooli").await, [1, 2, 5]);
    assert_eq!(app.used("new", "other").await, [0, 0, 5]);
}

#[tokio::test]
async fn a_business_may_ask_five_times_as_much_of_the_same_app() {
    let app = App::with("user=1,company=2,app=9").await;
    app.is_granted("ada", "initech").await;
    app.is_denied("ada", "initech", &["user"]).await;
    for _ in 0..5 {
        app.is_granted("ada", "acme").await;
    }
    app.is_denied("ada", "acme", &["user"]).await;
    for _ in 0..3 {
        app.is_granted("bob", "acme").await;
    }
    app.is_denied("bob", "acme", &["app"]).await;
    assert_eq!(app.used("bob", "acme").await, [3, 8, 9]);
    assert_eq!(app.used("ada", "initech").await, [1, 1, 9], "another ada");
}

#[tokio::test]
async fn who_is_not_known_is_asked_who_they_are() {
    let app = App::with("user=1").await;
    for (user, company) in [("", "initech"), ("ada", "")] {
        let reply = app.ask(user, company).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(app.used("ada", "initech").await, [0, 0, 0]);
}

/// Of 60 questions at the same time, from three users of each of four companies, each company may
/// ask 10 and all of them 25.
#[tokio::test]
async fn under_load_each_count_is_exact() {
    let app = App::with("user=4,company=10,app=25").await;
    let companies = ["initech", "hooli", "umbrella", "tyrell"];
    let questions = companies.iter().flat_map(|company| {
        let users = ["ada", "bob", "eve"].into_iter();
        users.flat_map(move |user| [(user, *company); 5])
    });
    let asked = join_all(questions.map(|(user, company)| app.ask(user, company))).await;
    let granted = asked.iter().filter(|reply| reply.status == StatusCode::OK).count();
    assert_eq!((asked.len(), granted), (60, 25));
    let mut sum = 0;
    for company in companies {
        let [_, used, everyone] = app.used("ada", company).await;
        assert!(used <= 10, "{company}: {used}");
        assert_eq!(everyone, 25);
        sum += used;
    }
    assert_eq!(sum, 25);
}

#[tokio::test]
async fn ctrl_c_ends_it_with_0() {
    let app = App::with("user=1").await;
    app.is_granted("ada", "initech").await;
    app.0.interrupt();
    assert_eq!(app.0.ended().await.code(), Some(0));
}

#[tokio::test]
async fn limits_that_make_no_sense_stop_it() {
    for limits in ["", "user", "user=many", "group=1", "user=1,company=-1"] {
        let variables = [("LISTEN", "127.0.0.1:0"), ("LIMITS", limits)];
        let mut command = example("multi_tenant", &variables);
        let output = command.stderr(Stdio::piped()).output().await.unwrap();
        assert!(!output.status.success(), "{limits:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("LIMITS"), "{limits:?}");
        assert!(output.stdout.is_empty(), "{limits:?}");
    }
}

//! The example `llm_gateway`, as a program over real sockets: through the gateway's server, its client
//! and the backend's server.

mod endings;
mod outgrown;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::support::programs::{Client, Program, Reply, parse_curl, to};

/// How often a server is asked before a test gives up waiting for it.
const ROUND_TRIPS: usize = 10_000;

/// The tokens that a question of [`post`] is estimated at: its own and its answer's.
const ESTIMATE: u64 = 1 + 300;

/// The running gateway, used with ada's key.
struct Gateway(Program);

impl Gateway {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(variables: &[(&str, &str)]) -> Self {
        Self(Program::start("llm_gateway", variables).await)
    }

    /// Asks for a stream, and hears all of it.
    async fn ask(&self, query: &str) -> Reply {
        self.0.send(post(query, true)).await
    }

    /// Asks for a stream, and waits for its headers alone.
    async fn begin(&self, query: &str) -> (Client, Response<Incoming>) {
        let mut client = self.0.connect().await;
        let response = client.send(post(query, true)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        (client, response)
    }

    /// What is used and held, of requests and of tokens.
    async fn books(&self) -> [(u64, u64); 2] {
        books(&self.0.send(usage("sk-ada")).await)
    }

    /// Waits until the books are so.
    async fn wait_for(&self, wanted: [(u64, u64); 2]) {
        let mut client = self.0.connect().await;
        let mut seen = wanted;
        for _ in 0..ROUND_TRIPS {
            seen = books(&Reply::hear(client.send(usage("sk-ada")).await.unwrap()).await);
            if seen == wanted {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{ROUND_TRIPS} round trips later it is {seen:?}, not {wanted:?}");
    }
}

fn books(usage: &Reply) -> [(u64, u64); 2] {
    let usage = usage.json();
    ["requests", "tokens"].map(|limit| {
        let number = |what: &str| usage["features"]["chat"][limit][what].as_u64().unwrap();
        (number("used"), number("held"))
    })
}

fn usage(key: &str) -> Request<Full<bytes::Bytes>> {
    let request = to(Method::GET, "/v1/usage").header("authorization", format!("Bearer {key}"));
    request.body(Full::default()).unwrap()
}

/// A question that is estimated at [`ESTIMATE`].
fn post(query: &str, stream: bool) -> Request<Full<bytes::Bytes>> {
    let messages = json!([{ "role": "user", "content": "Why?" }]);
    let question = json!({ "messages": messages, "max_tokens": 300, "stream": stream });
    said(query, &question)
}

fn said(query: &str, question: &Value) -> Request<Full<bytes::Bytes>> {
    let request = to(Method::POST, &format!("/v1/chat/completions{query}"));
    let request = request.header("authorization", "Bearer sk-ada");
    request.body(Full::from(question.to_string())).unwrap()
}

#[tokio::test]
async fn the_commands_show_a_stream_a_denial_and_the_usage() {
    let mut gateway = Gateway::start().await;
    let commands = [gateway.0.line().await, gateway.0.line().await, gateway.0.line().await];
    let mut replies = Vec::new();
    for command in &commands {
        replies.push(gateway.0.send(parse_curl(command, &gateway.0)).await);
    }
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, [200, 429, 200]);
    assert!(replies[0].text().ends_with("data: [DONE]\n\n"));
    assert_eq!(books(&replies[2]), [(1, 0), (800, 0)]);
}

#[tokio::test]
async fn a_stream_comes_through_and_costs_what_it_says() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask("?words=4&tokens=812").await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert!(reply.is_complete);
    let events: Vec<_> = reply.text().split_terminator("\n\n").collect();
    assert_eq!(events.len(), 6);
    assert!(events[4].contains("\"total_tokens\":812"));
    assert_eq!(events[5], "data: [DONE]");
    assert_eq!(gateway.books().await, [(1, 0), (812, 0)]);
}

/// Networks cut streams where they like.
#[tokio::test]
async fn the_usage_is_found_wherever_the_stream_is_cut() {
    let gateway = Gateway::with(&[("TOKENS", "100000")]).await;
    for (asked, piece) in [1, 7, 64, 100_000].into_iter().enumerate() {
        let reply = gateway.ask(&format!("?tokens=812&piece={piece}")).await;
        assert!(reply.text().ends_with("\n\ndata: [DONE]\n\n"));
        let asked = asked as u64 + 1;
        assert_eq!(gateway.books().await, [(asked, 0), (asked * 812, 0)], "pieces of {piece}");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_costs_what_it_says_too() {
    let gateway = Gateway::start().await;
    let reply = gateway.0.send(post("?words=2&tokens=7", false)).await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "word word ");
    assert_eq!(gateway.books().await, [(1, 0), (7, 0)]);
    gateway.0.send(post("?silent=1", false)).await;
    assert_eq!(gateway.books().await, [(2, 0), (7 + ESTIMATE, 0)]);
}

#[tokio::test]
async fn what_was_not_said_is_charged_by_the_estimate() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask("?silent=1").await;
    assert!(!reply.text().contains("total_tokens"));
    assert!(reply.is_complete);
    assert_eq!(gateway.books().await, [(1, 0), (ESTIMATE, 0)]);
}

#[tokio::test]
async fn an_answer_above_the_estimate_is_charged_in_full_and_shows() {
    let gateway = Gateway::with(&[("TOKENS", "500")]).await;
    let reply = gateway.ask("?tokens=2000").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(gateway.books().await, [(1, 0), (2_000, 0)]);
    let denied = gateway.ask("").await;
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(denied.json()["violated-policies"], json!(["tokens"]));
    assert_eq!(denied.json()["remaining"], 0);
    assert!(denied.header("ratelimit-policy").contains("\"tokens\";q=500;qu=\"tokens\""));
    assert_eq!(gateway.books().await, [(1, 0), (2_000, 0)]);
}

#[tokio::test]
async fn requests_and_tokens_are_limited_side_by_side() {
    let gateway = Gateway::with(&[("REQUESTS", "2"), ("TOKENS", "100000")]).await;
    for _ in 0..2 {
        assert_eq!(gateway.ask("?tokens=10").await.status, StatusCode::OK);
    }
    let denied = gateway.ask("?tokens=10").await;
    assert_eq!(denied.json()["violated-policies"], json!(["requests"]));
    assert_eq!(gateway.books().await, [(2, 0), (20, 0)]);

    let other = gateway.0.send(usage("sk-bob")).await;
    assert_eq!(books(&other), [(0, 0), (0, 0)]);
}

#[tokio::test]
async fn a_wild_estimate_holds_no_more_than_there_could_be() {
    let gateway = Gateway::start().await;
    let question = json!({ "messages": [], "max_tokens": u64::MAX, "stream": true });
    let mut client = gateway.0.connect().await;
    let response = client.send(said("?wait=2&tokens=9", &question)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(gateway.books().await, [(0, 1), (0, 1_000)]);
}

#[tokio::test]
async fn the_length_of_a_question_counts() {
    let gateway = Gateway::with(&[("TOKENS", "100000")]).await;
    let content = "four".repeat(1_000);
    let question = json!({ "messages": [{ "content": content }], "max_tokens": 5, "stream": true });
    gateway.0.send(said("?silent=1", &question)).await;
    assert_eq!(gateway.books().await, [(1, 0), (1_005, 0)]);
    let question = json!({ "messages": [], "stream": true });
    gateway.0.send(said("?silent=1", &question)).await;
    assert_eq!(gateway.books().await, [(2, 0), (1_505, 0)], "with no bound of its own");
}

#[tokio::test]
async fn strangers_and_nonsense_cost_nothing() {
    let gateway = Gateway::start().await;
    let stranger = gateway.0.send(usage("sk-eve")).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.header("www-authenticate"), "Bearer realm=\"llm\"");
    let nonsense =
        to(Method::POST, "/v1/chat/completions").header("authorization", "Bearer sk-ada");
    let nonsense = gateway.0.send(nonsense.body(Full::from("{")).unwrap()).await;
    assert_eq!(nonsense.status, StatusCode::BAD_REQUEST);
    assert_eq!(gateway.books().await, [(0, 0), (0, 0)]);
}

/// Three of ten at a time have room for their estimate; they hold no more than that.
#[tokio::test]
async fn under_load_no_more_is_set_aside_than_there_is() {
    let gateway = Gateway::start().await;
    let asked = futures::future::join_all((0..10).map(|_| async {
        let mut client = gateway.0.connect().await;
        let response = client.send(post("?wait=1", true)).await.unwrap();
        (response.status(), response, client)
    }));
    let asked = asked.await;
    let granted = asked.iter().filter(|(status, ..)| *status == StatusCode::OK).count();
    assert_eq!(granted, 3);
    assert_eq!(gateway.books().await, [(0, 3), (0, 3 * ESTIMATE)]);
}

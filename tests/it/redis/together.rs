//! Requests that wait while others are under way share a call, and nothing else.

use futures::FutureExt;
use futures::future::join_all;
use tower_quota::Window;
use tower_quota::store::{Held, RemoteBooks};

use super::scripts::calls;
use super::{ask, books, counter, now, read, request};

const MANY: u64 = 40;

#[tokio::test]
async fn requests_that_wait_share_calls_and_are_judged_one_by_one() {
    let (server, books, clock) = books().await;
    let day = [counter("ada", Window::Day, now(&clock))];
    let mut requests = Vec::new();
    for sequence in 0..MANY {
        requests.push(request(&books, sequence, &day).await);
    }
    let before = calls(&server, "evalsha").await;
    let verdicts = join_all(requests.iter().map(|request| books.reserve(request))).await;
    let granted = verdicts
        .into_iter()
        .filter(|verdict| matches!(verdict.as_ref().unwrap().held, Held::Granted(_)));
    assert_eq!(granted.count(), 10);
    assert_eq!(read(&books, &day[0]).await, (0, 10));
    // And one to read.
    let calls = calls(&server, "evalsha").await - before;
    assert!(calls < MANY / 2, "{calls} calls");
}

#[tokio::test]
async fn a_request_that_the_server_refuses_fails_alone() {
    let (server, books, clock) = books().await;
    let start = now(&clock);
    let mut requests = Vec::new();
    for sequence in 0..MANY {
        let scope = format!("user-{sequence}");
        let day = [counter(scope, Window::Day, start)];
        requests.push(request(&books, sequence, &day).await);
    }
    let spoiled = &requests[20].charges[0].counter;
    let start = spoiled.window.start.as_millis();
    let key = format!("quota:{{user-20}}c:{}:{start}", spoiled.limit.as_str());
    let _: () = ask(&server, &format!("SET {key} nothing")).await;

    let verdicts = join_all(requests.iter().map(|request| books.reserve(request))).await;
    for (number, verdict) in verdicts.iter().enumerate() {
        match verdict {
            Ok(verdict) => assert!(matches!(&verdict.held, Held::Granted(c) if c[0].held == 1)),
            Err(error) => assert!(number == 20 && !error.is_transient(), "{number}: {error:?}"),
        }
    }
    assert!(verdicts[20].is_err());
}

#[tokio::test]
async fn who_gives_up_leaves_the_others_their_answers() {
    let (_server, books, clock) = books().await;
    let mut requests = Vec::new();
    for sequence in 0..MANY {
        let day = [counter(format!("user-{sequence}"), Window::Day, now(&clock))];
        requests.push(request(&books, sequence, &day).await);
    }
    let mut calls: Vec<_> = requests.iter().map(|request| books.reserve(request).boxed()).collect();
    for call in &mut calls {
        assert!(call.now_or_never().is_none());
    }
    // Those that are under way, and some that wait.
    drop(calls.drain(..10));
    for verdict in join_all(calls).await {
        assert!(matches!(verdict.unwrap().held, Held::Granted(_)));
    }
}

//! Requests that wait while others are under way share a call, and nothing else.

use futures::FutureExt;
use futures::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tower_quota::store::{Held, RedisBooks, RemoteBooks, RemoteReserve, RemoteSettlement};
use tower_quota::{Spent, Window};

use super::scripts::calls;
use super::{PATIENCE, ask, books, counter, hold, now, read, request};
use crate::support::counters::{Counted, SECOND};
use crate::support::noon;
use crate::support::servers::Redis;

const MANY: u64 = 40;

const ROLLING: Window = Window::Rolling(SECOND.saturating_mul(60));

/// All that is held is spent.
fn charged(request: &RemoteReserve) -> RemoteSettlement {
    let (id, counters) = (request.id, request.charges.clone());
    RemoteSettlement { id, counters, spent: Spent::Held, after: None }
}

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

/// Some of the same counters, some of several, some sent again: what is answered and what is kept is the
/// same as if each had come alone.
#[tokio::test]
async fn requests_that_share_a_call_are_as_if_they_had_come_one_after_the_other() {
    const ROUNDS: u64 = 30;
    let server = Redis::start();
    let clock = noon();
    let [together, alone] = ["together:", "alone:"]
        .map(|prefix| RedisBooks::builder(server.url()).prefix(prefix).clock(clock.clone()));
    let (together, alone) = (together.connect().await.unwrap(), alone.connect().await.unwrap());
    for round in 0..ROUNDS {
        let scope = |name| format!("{name} {round}");
        let [x, y, rolling] = [("x", Window::Day), ("y", Window::Hour), ("r", ROLLING)]
            .map(|(name, window)| counter(scope(name), window, now(&clock)));
        let [one, other, last] = [&x, &y, &rolling].map(std::slice::from_ref);
        let pairs = [[x.clone(), y.clone()], [y.clone(), x.clone()], [rolling.clone(), x.clone()]];
        let some = [one, one, one, other, last, last, &pairs[0], &pairs[1], &pairs[2]];
        let mut requests = Vec::new();
        for place in 0..MANY {
            // Any numbers, the same each time.
            let number = (round * MANY + place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let sequence = round * MANY + place - (number % 4) / 3;
            let counters = some[usize::try_from(number / 4).unwrap() % some.len()];
            let again = |asked: &&RemoteReserve| asked.id.sequence == sequence;
            match requests.iter().find(again).cloned() {
                Some(asked) => requests.push(asked),
                None => requests.push(request(&alone, sequence, counters).await),
            }
        }
        let mut expected = Vec::new();
        for request in &requests {
            expected.push(alone.reserve(request).await.unwrap().held);
        }
        let held = join_all(requests.iter().map(|request| together.reserve(request))).await;
        let held: Vec<_> = held.into_iter().map(|verdict| verdict.unwrap().held).collect();
        assert_eq!(held, expected, "round {round}");
        let counters = [x.clone(), y.clone(), rolling.clone()];
        let compare = async || {
            let counted = together.counted(&counters).await.unwrap();
            assert_eq!(counted, alone.counted(&counters).await.unwrap(), "round {round}");
        };
        compare().await;
        let ends: Vec<_> = requests.iter().step_by(2).map(charged).collect();
        for books in [&together, &alone] {
            books.settle(&ends).await.unwrap();
        }
        compare().await;
        clock.advance(together.lease().length);
        compare().await;
    }
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

/// A runtime that is driven no more, once its callers have what they asked for, leaves nobody waiting.
#[test]
fn runtimes_that_stand_still_keep_nobody_waiting() {
    let driven = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_server, books, clock) = driven.block_on(books());
    let of = |name: String| [counter(name, Window::Day, now(&clock))];
    let still: Vec<Runtime> = (0..8)
        .map(|name| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let numbers = (0..10).map(|number| name * 10 + number);
                let counters = of(name.to_string());
                join_all(numbers.map(|number| hold(&books, number, &counters))).await;
            });
            runtime
        })
        .collect();
    driven.block_on(async {
        let last = of("last".into());
        let last = hold(&books, 1_000, &last);
        timeout(PATIENCE, last).await.expect("the places of others are not free");
    });
    drop(still);
}
